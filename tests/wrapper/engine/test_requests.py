import json

import pytest
from toft.engine.requests import Request, Step, refuse_pattern


def test_a_play_holds_the_request_file_and_nothing_that_was_typed() -> None:
    request = Request("all", (Step("route"), Step("dispatch", node_of="route")), {"words": ["{{ canary }}"]})
    (play,) = json.loads(request.playbook("/run/r.json"))
    assert "canary" not in json.dumps(play)
    route, dispatch = play["tasks"]
    assert route["toft.fleet.route"] == {"request": "/run/r.json"}
    chosen = {"request": "/run/r.json", "node": "{{ toft_route.node }}", "local": "{{ toft_route.local }}"}
    assert dispatch["toft.fleet.dispatch"] == chosen
    assert dispatch["when"] == "toft_route.node is not none"


@pytest.mark.parametrize("pattern", ["all", "builders:!pi*", "pi[1:3]", "~pi\\d", "a,b", "host.lan", "web:&eu"])
def test_patterns_as_ansible_has_them(pattern: str) -> None:
    assert refuse_pattern(pattern) is None


@pytest.mark.parametrize("pattern", ["", "  ", "{{ x }}", "a{%b", "{# c", "-oProxyCommand=x", "a\nb", "a\0"])
def test_patterns_that_are_none(pattern: str) -> None:
    assert refuse_pattern(pattern)
