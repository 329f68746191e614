"""A pattern with a name that nothing has is refused; what is more than a name is Ansible's business."""

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.play import check_pattern
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import BadRequest

GROUPS = {"all": ["n1", "n2", "pi.lan"], "ungrouped": [], "builders": ["n1"]}


@pytest.mark.parametrize(
    "pattern", ["all", "n1", "n1,n2", "builders:!n1", "builders:&n1", "n*", "~n[12]", "builders[0]", "pi.lan", "n?,n1"]
)
def test_known(pattern: str) -> None:
    check_pattern(pattern, GROUPS)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("n1,n9", "'n9' .* did you mean n2|n1"),
        ("builder", "did you mean builders"),
        ("all:!zzz", "'zzz' is neither"),
        ("n1:&bilders", "builders"),
    ],
)
def test_unknown(pattern: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        check_pattern(pattern, GROUPS)
