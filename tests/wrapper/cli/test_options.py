from pathlib import Path

import pytest
from toft.cli.options import environment, form_of
from toft.fleet.failures import Failure


def test_a_name_takes_todays_value_and_an_assignment_its_own(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=from file\nB=1=2\nC=\n")
    found = environment({"HERE": "today"}, ["HERE", "A=given", "EMPTY="], file)
    assert found == {"A": "given", "B": "1=2", "C": "", "HERE": "today", "EMPTY": ""}


def test_values_are_data() -> None:
    assert environment({}, ["X={{ y }}\n$(id)"], None) == {"X": "{{ y }}\n$(id)"}


@pytest.mark.parametrize("given", ["1A=x", "=x", "A-B=x", "{{x}}=y", "NOT_THERE"])
def test_what_is_no_variable_is_refused(given: str) -> None:
    with pytest.raises(Failure) as told:
        environment({}, [given], None)
    assert told.value.exit_code == 2


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\nnonsense\n")
    with pytest.raises(Failure, match=r"env:2: NAME=VALUE"):
        environment({}, [], file)
    with pytest.raises(Failure, match="No such file"):
        environment({}, [], tmp_path / "none")


def test_forms_exclude_each_other() -> None:
    assert (form_of(False, False), form_of(True, False), form_of(False, True)) == ("auto", "shell", "exec")
    with pytest.raises(Failure):
        form_of(True, True)


def test_a_value_is_parted_at_line_feeds_only(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes("A=x\u2028y\x0cz\x85\r\nB=1\rb\n".encode())
    assert environment({}, [], file) == {"A": "x\u2028y\x0cz\x85", "B": "1\rb"}
