# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wrappers seen through: what `sudo`, `env`, `bash -c`, `xargs` and so on would run is a command of its own.

Most are described in `wrapper_table`; shells, Python, find and GNU parallel have ways of their own.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace

from ansible_collections.toft.fleet.plugins.plugin_utils.shell_commands import Assignment, Word, program_name
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_words import NAME_VALUE
from ansible_collections.toft.fleet.plugins.plugin_utils.wrapper_table import Wrapper, wrappers


@dataclass(frozen=True, slots=True)
class Inner:
    """What a wrapper runs: an argv, or a shell text. `before` are the wrapper's own words.

    `same_shell`: it is no process of its own (eval). `keeps`: the wrapper counts as a command besides.
    """

    before: tuple[Word, ...]
    argv: tuple[Word, ...] = ()
    text: str | None = None
    assignments: tuple[Assignment, ...] = ()
    chdir: Word | None = None
    same_shell: bool = False
    keeps: bool = False


_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "rbash"))
_SHELL_VALUES = frozenset(("-o", "-O", "+o", "+O", "--rcfile", "--init-file", "-C", "--init-command"))
_BY_VERSION = frozenset(("npx", "uvx", "uv", "bunx", "bun", "pnpx", "pnpm", "npm", "yarn"))
"""These run `PROGRAM@VERSION`."""
_PARALLEL_VALUES = frozenset(
    (
        "-j",
        "-I",
        "-a",
        "-N",
        "-n",
        "-L",
        "-d",
        "-S",
        "-C",
        "-E",
        "-P",
        "--jobs",
        "--arg-file",
        "--colsep",
        "--delay",
        "--timeout",
        "--joblog",
        "--results",
        "--retries",
        "--load",
        "--memfree",
        "--sshlogin",
        "--sshloginfile",
        "--tmpdir",
        "--workdir",
        "--wd",
        "--tagstring",
        "--max-args",
        "--halt",
        "--delimiter",
        "--nice",
        "--env",
        "--block",
        "--recstart",
        "--recend",
        "--shuf",
        "--rpl",
    )
)
_PYTHON_VALUES = frozenset(("-W", "-X", "-m", "-c", "--check-hash-based-pycs"))
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*\Z")


def see_through(words: tuple[Word, ...], fed: str | None) -> list[Inner]:
    """What these words would run besides themselves. `fed`: what is known of their standard input."""
    program = program_name(words[0])
    if program in _SHELLS:
        return _shell_text(words, fed)
    if _PYTHON.match(program):
        return _python_module(words)
    if program in ("find", "fd", "fdfind"):
        return _executed_by_find(words)
    if program == "parallel":
        return _parallel(words)
    for wrapper in wrappers().get(program, ()):
        inner = _unwrapped(wrapper, words)
        if inner is not None:
            return inner
    return []


@dataclass(slots=True)
class _Stripping:
    """Where in a wrapper's words the command begins, as far as it is known."""

    at: int = 1
    path: list[str] = field(default_factory=list)
    operands: int = 0
    ended: bool = False
    assignments: list[Assignment] = field(default_factory=list)
    chdir: Word | None = None
    texts: list[tuple[int, str]] = field(default_factory=list)
    """Shell texts among the options, each with the place of the word in which it ends."""


def _unwrapped(wrapper: Wrapper, words: tuple[Word, ...]) -> list[Inner] | None:
    """None: this is another use of the program."""
    state = _Stripping(path=list(wrapper.path[1:]), operands=wrapper.operands)
    while state.at < len(words):
        step = _strip(wrapper, words, state)
        if step is None:
            break
        if step < 0:
            return None
        state.at += step
    if state.path:
        return None
    if state.texts:
        before, keeps, chdir = words[: max(1, state.texts[0][0])], wrapper.keeps, state.chdir
        if wrapper.path == ("env",):
            at, text = state.texts[0]  # what follows is split with it, and read again
            return [Inner(before, text=_split_by_env(text, words[at + 1 :]), chdir=chdir, keeps=keeps)]
        return [Inner(before, text=text, chdir=chdir, keeps=keeps) for _at, text in state.texts]
    if state.at >= len(words) or (wrapper.dashes and not state.ended):
        return []
    return _inner_words(wrapper, words, state)


def _strip(wrapper: Wrapper, words: tuple[Word, ...], state: _Stripping) -> int | None:
    """How many words to step over; None: the command begins here; negative: this is no wrapper here."""
    text = words[state.at].text
    if text == "--" and not state.ended:
        state.ended, state.operands = True, 0 if wrapper.dashes or wrapper.operands > 9 else state.operands
        return 1
    if not state.ended and text.startswith("-") and len(text) > 1:
        return _strip_option(wrapper, words, state)
    if state.path:
        return 1 if text == state.path.pop(0) else -1
    match = NAME_VALUE.fullmatch(text) if wrapper.assigns else None
    if match and not state.ended:
        state.assignments.append(Assignment(match[1], Word(match[2], words[state.at].literal)))
        return 1
    if state.operands > 0 or (wrapper.dashes and not state.ended):
        state.operands -= 1
        return 1
    return None


def _strip_option(wrapper: Wrapper, words: tuple[Word, ...], state: _Stripping) -> int:
    option, value, length = _option(words, state.at, wrapper.values)
    if option in wrapper.quits or words[state.at].text in wrapper.quits:
        return -1
    if option in wrapper.starts:
        state.operands, state.ended = 0, True
        return 1
    if option in wrapper.text and value is not None:
        state.texts.append((state.at + length - 1, value.text))
    if option in wrapper.chdir and value is not None:
        state.chdir = value
    return length


def _option(words: tuple[Word, ...], at: int, values: frozenset[str]) -> tuple[str, Word | None, int]:
    """The option in this word, its value, and how many words that is: `--user=x`, `-u x`, `-nu x`, `-n5`."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else None
    text = word.text
    name, equals, value = text.partition("=")
    if text in values:
        return text, following, 2
    if text.startswith("--"):
        return name, Word(value, word.literal) if equals else None, 1
    for place, letter in enumerate(text[1:], 1):
        if f"-{letter}" in values:
            rest = text[place + 1 :]
            return f"-{letter}", Word(rest, word.literal) if rest else following, 1 if rest else 2
    return text, None, 1


def _split_by_env(text: str, following: tuple[Word, ...]) -> str:
    """env -S TEXT WORD…: the text is split into options, variables and words of env's own; the other words follow."""
    return " ".join(("env", text, *(shlex.quote(word.text) for word in following)))


def _inner_words(wrapper: Wrapper, words: tuple[Word, ...], state: _Stripping) -> list[Inner]:
    before, rest = words[: state.at], words[state.at :]
    same = wrapper.path == ("eval",)
    if wrapper.joined:
        return [Inner(before, text=" ".join(word.text for word in rest), same_shell=same, chdir=state.chdir)]
    if wrapper.each:
        texts = rest[:1] if wrapper.path == ("trap",) else rest
        return [Inner(before, text=word.text) for word in texts if word.text not in ("", "-")]
    if wrapper.path[0] in _BY_VERSION:
        rest = (replace(rest[0], text=re.sub(r"(?<=.)@.*", "", rest[0].text)), *rest[1:])
    return [Inner(before, rest, None, tuple(state.assignments), state.chdir, keeps=wrapper.keeps)]


def _shell_text(words: tuple[Word, ...], fed: str | None) -> list[Inner]:
    """sh -c TEXT, or the text on its standard input if it is given no script."""
    text_comes, at = False, 1
    while at < len(words):
        text = words[at].text
        if text == "--" or len(text) < 2 or text[0] not in "-+":
            at += text == "--"
            break
        if text == "--command" or (text[0] == "-" and text[1] != "-" and "c" in text):
            text_comes = True
        if text in ("--version", "--help"):
            return []
        takes = text in _SHELL_VALUES or (text[1] != "-" and text[-1] in "oO")
        fed = fed if text != "-n" else None
        at += 2 if takes else 1
    if text_comes:
        return [Inner(words[:at], text=words[at].text)] if at < len(words) else []
    reads = at >= len(words) or words[at].text == "-" or any(w.text == "-s" for w in words[1:at])
    return [Inner(words, text=fed)] if fed is not None and reads else []


def _python_module(words: tuple[Word, ...]) -> list[Inner]:
    """python -m MODULE: what is run is the module."""
    at = 1
    while at < len(words) and words[at].text.startswith("-") and len(words[at].text) > 1:
        option, value, length = _option(words, at, _PYTHON_VALUES)
        if option == "-c":
            break
        if option == "-m" and value is not None:
            return [Inner((*words[:at], Word("-m")), (value, *words[at + length :]))]
        at += length
    return []


def _executed_by_find(words: tuple[Word, ...]) -> list[Inner]:
    """find -exec COMMAND ; and fd -x COMMAND."""
    find = program_name(words[0]) == "find"
    options = ("-exec", "-execdir", "-ok", "-okdir") if find else ("-x", "-X", "--exec", "--exec-batch")
    found: list[Inner] = []
    at = 1
    while at < len(words):
        if words[at].text in options and words[at].literal:
            end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), len(words))
            if end > at + 1:
                found.append(Inner((words[0], words[at]), words[at + 1 : end], keeps=True))
            at = end
        at += 1
    return found


def _parallel(words: tuple[Word, ...]) -> list[Inner]:
    """GNU parallel: COMMAND ::: ARGUMENTS, or each argument a command of its own."""
    at = 1
    while at < len(words) and words[at].text.startswith("-") and len(words[at].text) > 1:
        option, _given, length = _option(words, at, _PARALLEL_VALUES)
        if option in ("-S", "--sshlogin", "--sshloginfile"):
            return []
        at += length
    ends = (i for i in range(at, len(words)) if words[i].text in (":::", "::::", ":::+", "::::+"))
    end = next(ends, len(words))
    if end > at:
        return [Inner(words[:at], text=" ".join(word.text for word in words[at:end]))]
    if end < len(words) and words[end].text == ":::":
        return [Inner(words[: end + 1], text=word.text) for word in words[end + 1 :]]
    return []
