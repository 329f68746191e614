"""Frames: any cut of the bytes gives the same frames; JSON keeps every byte string."""

from __future__ import annotations

import json
import random

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames


def decoded(data: bytes, cuts: list[int]) -> list[tuple[bytes, bytes]]:
    decoder = frames.Decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += decoder.feed(data[start:end])
    return found


def test_frames_survive_any_cut() -> None:
    random.seed(1)
    sent = [(bytes([random.choice(b"RAOEX")]), random.randbytes(random.choice((0, 1, 300)))) for _ in range(60)]
    data = b"".join(frames.frame(kind, payload) for kind, payload in sent)
    for _ in range(20):
        cuts = sorted(random.sample(range(len(data)), 40))
        assert decoded(data, cuts) == sent
    assert decoded(data, list(range(len(data)))) == sent


@pytest.mark.parametrize("head", [b"O\x04\x00\x00\x01", b"O\xff\xff\xff\xff", b"\x00\x00\x00\x00\x00", b"wel c"])
def test_what_cannot_be_a_frame_is_refused(head: bytes) -> None:
    with pytest.raises(frames.BadFrame):
        frames.Decoder().feed(head)


def test_offsets_stand_before_the_data() -> None:
    assert frames.at(258, b"xy") == b"\0\0\0\0\0\0\x01\x02xy"
    assert frames.split(frames.at(1 << 40, b"xy")) == (1 << 40, b"xy")


VALUES = [
    None,
    True,
    0,
    -1.5,
    "",
    'quotes " and \\ and \n and \x00 and é and 😀',
    bytes(range(256)).decode("utf-8", "surrogateescape"),
    {"a": [1, {"b": None}], "é": []},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_comes_back_as_it_was(value: object) -> None:
    wire = frames.dumps(value)
    assert wire.isascii()
    assert frames.loads(wire) == value
    assert json.loads(wire) == value
    assert frames.loads(json.dumps(value, indent=1).encode()) == value


@pytest.mark.parametrize("text", [b"", b"{", b"[1] 2", b"nope", b'"\xff"', b"{'a': 1}"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        frames.loads(text)


def test_what_has_no_json_form_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        frames.dumps({"a": b"bytes"})
