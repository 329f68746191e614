"""Command lines to simple commands: cases/shell.json, and what must hold for any text at all.

A case says of each command what differs from the plain one: its words (a text is literal), and, where they
are not the default, directory, assignments, redirects as [fd, op, target, directory], those around it, the
words of the wrappers, and its place (`stages`: which part of how many, for pipelines of several).
"""

from __future__ import annotations

import json
import random
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import shell
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import (
    Command,
    Redirect,
    Word,
    parse,
    parse_argv,
    program_name,
)

CASES = json.loads((Path(__file__).parent / "cases" / "shell.json").read_text(encoding="utf-8"))
TEXTS = [case["text"] for case in CASES]


def told(word: Word) -> Any:
    marks = {**({} if word.literal else {"literal": False}), **({"glob": True} if word.glob else {})}
    return {"text": word.text, **marks} if marks else word.text


def told_redirect(redirect: Redirect) -> list[Any]:
    return [redirect.fd, redirect.op, told(redirect.target), redirect.directory]


def told_command(command: Command) -> dict[str, Any]:
    place = command.place
    values: dict[str, Any] = {
        "argv": [told(word) for word in command.argv],
        "directory": command.directory,
        "assignments": {each.name: told(each.value) for each in command.assignments},
        "redirects": [told_redirect(each) for each in command.redirects],
        "around": [told_redirect(each) for each in command.around],
        "via": [" ".join(word.text for word in words) for words in command.via],
        "place": {
            "after": place.after,
            "stages": [[stage.number, stage.of] for stage in place.pipelines if stage.of > 1],
            "subshell": place.subshell,
            "background": place.background,
            "loop": place.loop,
            "substitution": place.substitution,
            "branches": [list(branch) for branch in place.branches],
        },
    }
    values["place"] = {key: value for key, value in values["place"].items() if value}
    plain = {"directory": ".", "assignments": {}, "redirects": [], "around": [], "via": [], "place": {}}
    return {key: value for key, value in values.items() if key not in plain or value != plain[key]}


@pytest.mark.parametrize("case", CASES, ids=[json.dumps(text)[1:41] for text in TEXTS])
def test_a_line(case: dict[str, Any]) -> None:
    line = parse(case["text"])
    assert [told_command(command) for command in line.commands] == case["commands"]
    assert line.errors == case.get("errors", False)
    assert line.text == case["text"]


def test_a_redirect_belongs_to_the_command_and_directory_that_it_follows() -> None:
    """tree-sitter's own tree gives it to the whole list, and takes `cd` into the pipeline."""
    cd, make, tee = parse("cd x && make 2>&1 | tee log > out").commands
    assert (cd.redirects, cd.place.pipelines) == ((), (shell.Stage(1, 0, 1),))
    assert [(each.op, each.target.text, each.fd) for each in make.redirects] == [(">&", "1", 2)]
    assert [(each.target.text, each.directory) for each in tee.redirects] == [("out", "x")]
    assert make.place.pipelines[-1].pipeline == tee.place.pipelines[-1].pipeline


def test_a_variable_of_the_line_is_followed() -> None:
    (_, command) = parse("d='a b'; cp \"$d\" $d $other").commands
    assert command.words == ("cp", "a b", "a", "b", "$other")
    assert [word.literal for word in command.argv] == [True, True, True, True, False]


def test_a_value_that_doubles_is_not_followed_for_ever() -> None:
    line = parse("a=xxxxxxxx;" + "a=$a$a;" * 60 + "echo $a")
    assert line.commands[-1].words == ("echo", "$a")


# ---- an argv -----------------------------------------------------------------

AWKWARD = [
    "",
    " ",
    "a b",
    "a;b",
    "$(make)",
    "`make`",
    "$HOME",
    "~",
    "*",
    "&&",
    "|",
    ">",
    "<<EOF",
    "'",
    '"',
    "\\",
    "\n",
]
AWKWARD += ["{a,b}", "!", "#x", "é", "\udcff", "-n", "--", "{{ x }}", "=", "[", "%s"]


@pytest.mark.parametrize("word", AWKWARD)
def test_a_word_of_an_argv_is_never_split(word: str) -> None:
    (command,) = parse_argv(["printf", word, word]).commands
    assert command.argv == (Word("printf"), Word(word), Word(word))
    assert (command.redirects, command.assignments, command.directory) == ((), (), ".")


def test_random_argvs_are_never_split() -> None:
    chance = random.Random(7)
    for _ in range(500):
        words = ["tool", *("".join(chance.choices(AWKWARD, k=chance.randint(0, 4))) for _ in range(4))]
        (command,) = parse_argv(words).commands
        assert list(command.words) == words


def test_an_argv_is_seen_through_like_a_line() -> None:
    assert parse_argv(["bash", "-lc", "cd x && make"]).commands == parse("bash -lc 'cd x && make'").commands
    assert parse_argv(["sudo", "-u", "a b", "make", "-j8"]).commands == parse("sudo -u 'a b' make -j8").commands


def test_how_an_argv_is_shown() -> None:
    assert parse_argv(["echo", "a b"]).text == "echo 'a b'"


def test_an_argv_that_cannot_be_run() -> None:
    assert parse_argv([]).commands == ()
    assert parse_argv(["a\0b"]).errors


def test_quoting_survives() -> None:
    """What shlex quotes, we read back."""
    chance = random.Random(3)
    for _ in range(500):
        words = ["cmd"] + ["".join(chance.choices([*AWKWARD, "ab"], k=3)) for _ in range(3)]
        line = parse(shlex.join(words))
        assert line.commands[0].words == tuple(words), words


# ---- any text at all -----------------------------------------------------------

MIB = 1 << 20
HUGE = {
    "parentheses": "(" * MIB,
    "substitutions": "$(" * (MIB // 2),
    "braces": "{ " * (MIB // 2),
    "quotes": '"' * MIB,
    "backticks": "`" * MIB,
    "pipes": "a|" * (MIB // 2),
    "commands": "make;" * (MIB // 5),
    "ifs": "if a; then " * (MIB // 11),
    "documents": "".join(f"cat <<E{i}\nx\nE{i}\n" for i in range(40_000)),
    "open documents": "cat <<E " * (MIB // 8) + "\n",
    "one document": "cat <<E\n" + "x y\n" * (MIB // 4) + "E\n",
    "one word": "a" * MIB,
    "words": "a " * (MIB // 2),
    "nested": "(" * 10_000 + "a" + ")" * 10_000,
    "nested substitutions": "$(" * 10_000 + "a" + ")" * 10_000,
    "NUL": "\0" * MIB,
    "redirects": "> a " * (MIB // 4),
    "less than": "<" * MIB,
    "expansions": "${a:-" * (MIB // 5),
    "tests": "[[ ( " * (MIB // 5),
    "arithmetic": "(( " * (MIB // 3),
    "cases": "case a in b) " * (MIB // 13),
    "functions": "f() { " * (MIB // 6),
    "wrappers": "sudo " * (MIB // 5),
    "shells": "bash -c " * (MIB // 8),
    "evals": "eval " * (MIB // 5),
    "times": "time " * (MIB // 5),
    "backslashes": "\\" * MIB,
    "comments": "#\n" * (MIB // 2),
    "recursion": "f() { f; f; }; f",
    "mutual recursion": "f(){ g;g;}; g(){ h;h; }; h(){ f;f; }; f",
    "loops": "for i in 1 2 3 4 5 6 7 8; do " * 20 + "make" + "; done" * 20,
    "finds": "find . " + "-exec a " * (MIB // 8),
}


@pytest.mark.parametrize("name", HUGE)
def test_nothing_hangs(name: str) -> None:
    """Seconds of this thread; most take a third of one. The limit only has to tell a bound from none."""
    begun = time.thread_time()
    line = parse(HUGE[name])
    assert time.thread_time() - begun < 15
    assert len(line.commands) <= shell.STEP_LIMIT


@pytest.mark.parametrize(
    "words",
    [
        ["make"] * 100_000,
        ["sudo"] * 100_000,
        ["bash", "-c", "(" * MIB],
        ["env", "-S"] * 5_000,
        ["xargs"] * 5_000,
    ],
    ids=["words", "wrappers", "text", "split", "xargs"],
)
def test_no_argv_hangs(words: list[str]) -> None:
    begun = time.thread_time()
    assert parse_argv(words).commands
    assert time.thread_time() - begun < 15


def test_a_long_document_hides_nothing_after_it() -> None:
    line = parse("cat > x <<E\n" + "make\n" * 100_000 + "E\ndocker ps")
    assert [command.words for command in line.commands] == [("cat",), ("docker", "ps")]
    assert not line.errors


def test_time_is_bounded_by_the_clock_that_is_given() -> None:
    """A clock that leaps says at once that the time is over: what is left is little, and said to be."""
    ticks = iter(range(0, 10_000_000, 10))
    line = parse("a|" * 20_000, clock=lambda: float(next(ticks)))
    assert line.errors


def test_random_texts_never_raise() -> None:
    chance = random.Random(11)
    pieces = [
        *"(){}[]$\"'`|&;<>\n a=!#*\\~-",
        "make",
        "$(",
        "<<E",
        "E\n",
        "if ",
        "then ",
        "fi;",
        "do ",
        "done ",
        "case ",
    ]
    pieces += [
        "in ",
        "esac ",
        "&&",
        "||",
        "sudo ",
        "bash -c ",
        "cd ",
        "${",
        "}",
        "2>&1",
        "time ",
        "f() ",
        "xargs ",
        "\udc80",
    ]
    for _ in range(3000):
        parse("".join(chance.choices(pieces, k=chance.randint(1, 40))))


def test_random_bytes_never_raise() -> None:
    chance = random.Random(13)
    for _ in range(500):
        parse(chance.randbytes(chance.randint(1, 200)).decode("utf-8", "surrogateescape"))


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    (command,) = parse("cat caf\udcc3 '\udcff' > \udcfe").commands
    assert command.words == ("cat", "caf\udcc3", "\udcff")
    assert command.redirects[0].target.text == "\udcfe"


@pytest.mark.parametrize("text", ["make\r\nls\r\n", "make\nls"])
def test_both_line_ends(text: str) -> None:
    assert [command.words for command in parse(text).commands] == [("make",), ("ls",)]


def test_ordinary_lines_take_little_time() -> None:
    """Well under 1 ms each where nothing else runs; here only the order of magnitude is looked at."""
    parse("true")
    begun = time.thread_time()
    for _ in range(100):
        parse("cd api && make -j8 2>&1 | tee log")
    assert (time.thread_time() - begun) / 100 < 0.01


def test_a_shell_of_its_own_has_builtins_but_not_our_functions() -> None:
    line = parse("f() { make; }; x=make; sudo bash -c 'cd a && f $x; g() { ls; }; g'; g")
    told = [(command.words, command.directory) for command in line.commands if command.argv]
    assert told == [(("cd", "a"), "."), (("f", "$x"), "a"), (("ls",), "a"), (("g",), ".")]


def test_the_name_of_a_program() -> None:
    names = {"/usr/bin/make": "make", "./x/y": "y", "a b/c": "a b/c", "/a b/c": "c", "docker.exe": "docker", "": ""}
    assert {text: program_name(Word(text)) for text in names} == names
    assert program_name(Word("$(which make)", literal=False)) == "make"
    assert program_name(Word("$(which make)")) == "$(which make)"
