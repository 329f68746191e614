"""What a YAML file may not be, and the line that is named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from toft.fleet.yaml_source import MAX_BYTES, MAX_DEPTH, BadFile, NotYaml, Place, parse, read

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

REFUSED = [
    ("tag of Python", "a: 1\nb: !!python/object/apply:os.system ['id']\n", 2, "python/object/apply"),
    ("tag of Python on a scalar", "a: !!python/name:os.system\n", 1, "not allowed"),
    ("local tag", "a:\n - !vault x\n", 2, "!vault"),
    ("alias bomb", BOMB, None, "200000 values"),
    ("alias to itself", "a: 1\nb: &b\n  - *b\n", 2, "leads back to itself"),
    ("mapping in itself", "a: 1\nb: &b\n  c: *b\n", 2, "leads back to itself"),
    ("merge of itself", "a: 1\nb: &b\n  <<: *b\n", 2, "leads back to itself"),
    ("unknown alias", "a: *nope\n", 1, "undefined alias"),
    ("deep", "a: " + "[" * (MAX_DEPTH + 1), 1, "nested deeper"),
    ("very deep", "a:\n  " + "[" * 500_000, 2, "nested deeper"),
    ("deep block", "".join(" " * n + "a:\n" for n in range(MAX_DEPTH + 2)), MAX_DEPTH + 1, "nested deeper"),
    ("key twice", "a: 1\nb: 2\na: 3\n", 3, "given twice (first in line 1)"),
    ("key twice below", "a:\n  b: 1\n  b: 2\n", 3, "given twice (first in line 2)"),
    ("key a list", "? [a]\n: 1\n", 1, "plain word"),
    ("two documents", "a: 1\n---\nb: 2\n", 2, "more than one document"),
    ("tab", "a:\n\t- x\n", 2, "not YAML"),
    ("left open", "a: 1\nb: [1,\n", 3, "not YAML"),
    ("NUL", "a: 1\nb: \0\n", 2, "not YAML"),
    ("no integer", "a: !!int abc\n", 1, "no int"),
    ("endless integer", "a: " + "1" * 5000 + "\n", 1, "no int"),
    ("merge of a word", "a:\n  <<: b\n", 2, "takes a mapping"),
    ("a surrogate of the environment", "a: \udcff", None, "not UTF-8"),
]


@pytest.mark.parametrize(("text", "line", "words"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(text: str, line: int | None, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadFile) as caught:
        parse(text, "file.yml")
    assert words in str(caught.value)
    if line is not None:
        assert str(caught.value).startswith(f"file.yml:{line}: ")
    assert time.monotonic() - began < 20


def test_lines_of_values() -> None:
    top = Place(parse("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n", "f"))
    b = dict(top.children())["b"]
    second = dict(b.children())[1]
    assert [(key, child.line) for key, child in second.children()] == [("y", 4), ("z", 5)]
    assert (b.line, second.line, second.key, second.label) == (2, 4, "b.1", "f:4")
    assert str(second.bad("no", "try")) == "f:4: b.1: no; try"


def test_aliases_and_merges_are_understood() -> None:
    top = Place(parse("x: &x {a: 1, b: {c: 2}}\ny:\n  <<: *x\n  a: 3\nz: [*x]\n", "f"))
    assert top.value == {
        "x": {"a": 1, "b": {"c": 2}},
        "y": {"a": 3, "b": {"c": 2}},
        "z": [{"a": 1, "b": {"c": 2}}],
    }
    y = dict(top.children())["y"]
    assert {key: child.line for key, child in y.children()} == {"a": 4, "b": 1}


def test_dates_and_allowed_tags_stay_text() -> None:
    assert parse("a: 2025-01-01\nb: !vault |\n  secret\n", "f", ("!vault",)).data == {
        "a": "2025-01-01",
        "b": "secret\n",
    }


def test_what_is_no_yaml_is_told_from_what_is_refused() -> None:
    with pytest.raises(NotYaml):
        parse("[group]\nhost a=1\n", "f")
    with pytest.raises(BadFile) as caught:
        parse("a: !!python/none x\n", "f")
    assert not isinstance(caught.value, NotYaml)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        (b"\xff\xfea\0:\0", 1, "is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), None, "larger than 1 MiB"),
    ],
)
def test_bytes(content: bytes, line: int | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "f.yml"
    file.write_bytes(content)
    with pytest.raises(BadFile, match=words) as caught:
        read(file)
    assert (caught.value.file, caught.value.line) == (str(file), line)


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "f.yml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read(tmp_path / "f.yml").data == {"a": 1, "b": 2}


def test_a_device_is_never_read() -> None:
    with pytest.raises(BadFile, match="not a regular file"):
        read(Path("/dev/zero"))


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        read(tmp_path / "none.yml")


def test_what_a_face_shows() -> None:
    error = BadFile("f.yml", 3, "no", "type: toft init", "a.b")
    assert (error.message, error.fix, error.key, error.exit_code) == (
        "f.yml:3: no",
        "type: toft init",
        "a.b",
        2,
    )
    assert str(error) == "f.yml:3: no; type: toft init"
