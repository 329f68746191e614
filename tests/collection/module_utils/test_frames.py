"""Frames: any cut of the bytes gives the same frames; JSON keeps every byte string."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import socket
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames


def decoded(data: bytes, cuts: list[int], flowing: bytes = b"") -> list[tuple[bytes, bytes]]:
    decoder = frames.Decoder(flowing)
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


def test_what_flows_is_given_out_as_it_comes() -> None:
    random.seed(2)
    sent = [(bytes([random.choice(b"RAOEX")]), random.randbytes(random.choice((1, 7, 300)))) for _ in range(60)]
    data = b"".join(frames.frame(kind, payload) for kind, payload in sent)
    whole = [(kind, payload) for kind, payload in sent if kind not in (b"O", b"E")]
    for step in (1, 2, 5, 6, 64, 1000):
        found = decoded(data, list(range(0, len(data), step)), flowing=b"OE")
        assert [each for each in found if each[0] not in (b"O", b"E")] == whole
        for kind in (b"O", b"E"):
            assert b"".join(p for k, p in found if k == kind) == b"".join(p for k, p in sent if k == kind)
        order = [kind for kind, _ in itertools.groupby(found, key=lambda each: each[0])]
        assert order == [kind for kind, _ in itertools.groupby(sent, key=lambda each: each[0])]
    early = frames.Decoder(b"O")
    assert early.feed(frames.head(b"O", 10)) == []
    assert early.feed(b"abc") == [(b"O", b"abc")]
    assert early.feed(b"defghij" + frames.frame(b"H")) == [(b"O", b"defghij"), (b"H", b"")]


@pytest.mark.parametrize("size", [10, frames.WORTHWHILE - 1, frames.WORTHWHILE, 300_000])
@pytest.mark.parametrize("way", ["pipe", "socket", "no sendfile"])
def test_part_of_a_file_goes_out_whole(size: int, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a reader that takes little at a time."""
    if way == "no sendfile":
        monkeypatch.setattr(os, "sendfile", refuse)
    file = tmp_path / "file"
    file.write_bytes(random.Random(3).randbytes(size + 20))
    ends = socket.socketpair() if way == "socket" else None
    near, far = (each.fileno() for each in ends) if ends else os.pipe()[::-1]
    os.set_blocking(near, False)
    with file.open("rb") as opened:
        channel = frames.Channel(-1, near)
        channel.send_part(b"O", frames.Part(opened.fileno(), 7, size))
        channel.send(frames.frame(b"H"))
        received = bytearray()
        while channel.congested or len(received) < size + 2 * frames.HEAD:
            received += os.read(far, 5000)
            channel.flush()
    assert received == frames.frame(b"O", file.read_bytes()[7 : 7 + size]) + frames.frame(b"H")
    for each in ends or ():
        each.close()
    if ends is None:
        os.close(near)
        os.close(far)


def refuse(*_: object) -> int:
    raise OSError(errno.EINVAL, "not here")


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_file_that_became_shorter_ends_the_channel(size: int, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with (tmp_path / "file").open("wb+") as file:
        channel = frames.Channel(-1, writing)
        with pytest.raises(frames.Gone):
            channel.send_part(b"O", frames.Part(file.fileno(), 0, size))
    os.close(reading)
    os.close(writing)


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
