import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Command, understand

NODES = {"pi1", "make", "nas"}


@pytest.mark.parametrize(
    ("words", "form", "may", "node", "command"),
    [
        (["make", "-j8"], "auto", False, None, Command(argv=("make", "-j8"))),
        (["ls"], "auto", True, None, Command(argv=("ls",))),
        (["cd api && make"], "auto", True, None, Command(shell="cd api && make")),
        (["a\tb"], "auto", True, None, Command(shell="a\tb")),
        (["pi1", "uname", "-a"], "auto", True, "pi1", Command(argv=("uname", "-a"))),
        (["pi1", "cd x; ls"], "auto", True, "pi1", Command(shell="cd x; ls")),
        (["pi1", "--", "sh", "-c", "x"], "auto", True, "pi1", Command(argv=("sh", "-c", "x"))),
        (["pi1", "--"], "auto", True, "pi1", Command(argv=("--",))),
        (["pi1"], "auto", True, None, Command(argv=("pi1",))),
        (["make", "-j8"], "auto", True, "make", Command(argv=("-j8",))),
        (["PI1", "ls"], "auto", True, None, Command(argv=("PI1", "ls"))),
        (["echo $HOME"], "exec", True, None, Command(argv=("echo $HOME",))),
        (["ls"], "shell", True, None, Command(shell="ls")),
        (["echo", "a  b"], "auto", True, None, Command(argv=("echo", "a  b"))),
        (["{{ x }}"], "auto", True, None, Command(shell="{{ x }}")),
        ([""], "auto", True, None, Command(argv=("",))),
    ],
)
def test_words(words, form, may, node, command) -> None:
    given = understand(words, NODES, form, may)
    assert (given.node, given.command) == (node, command)


def test_words_are_never_split_again() -> None:
    words = ["printf", "%s\n", "a b", "c;d", "$(id)", "`id`", "*"]
    assert understand(words, NODES, "auto", True).command.argv == tuple(words)
