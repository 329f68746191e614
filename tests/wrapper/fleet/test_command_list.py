import pytest
from toft.fleet.command_list import command_list
from toft.fleet.failures import Failure


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["pytest", "npm test"], ["pytest", "npm test"]),
        (["pytest", "|", "npm test"], ["pytest", "npm test"]),
        (['"pytest" | "npm test" | "cargo test"'], ["pytest", "npm test", "cargo test"]),
        (["'pytest' | \"npm test\""], ["pytest", "npm test"]),
        (['"cat a | wc -l" | "b"'], ["cat a | wc -l", "b"]),
        (['"echo \\"x\\"" | "b"'], ['echo "x"', "b"]),
        (['"a"|"b"'], ["a", "b"]),
        (["cat a | wc -l"], ["cat a | wc -l"]),
        (['"a" | b'], ['"a" | b']),
        (['"a"'], ['"a"']),
        (['"a" | "b"', "c"], ['"a" | "b"', "c"]),
        (["echo '{{ x }}' $HOME"], ["echo '{{ x }}' $HOME"]),
        (["a\nb"], ["a\nb"]),
    ],
)
def test_what_is_typed_becomes_commands(words: list[str], lines: list[str]) -> None:
    assert command_list(words) == tuple(lines)


NONE = ([""], ["a", " "], ["|"], ["|", "a"], ["a", "|"], ["a", "|", "|", "b"], ['"a" | ""'], ["a\0"])


@pytest.mark.parametrize("words", NONE)
def test_what_is_no_command_is_refused(words: list[str]) -> None:
    with pytest.raises(Failure):
        command_list(words)
