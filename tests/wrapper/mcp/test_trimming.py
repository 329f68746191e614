from __future__ import annotations

from toft.mcp.trimming import Trimmed, text


def fed(data: bytes, chunk: int, head: int = 10, tail: int = 20) -> Trimmed:
    trimmed = Trimmed(head, tail)
    for at in range(0, len(data), chunk):
        trimmed.put(data[at : at + chunk])
    return trimmed


def test_head_and_tail_whatever_the_pieces() -> None:
    for size in range(100):
        data = bytes(range(size))
        for chunk in (1, 3, 7, 50, 200):
            got = fed(data, chunk)
            assert got.size == size
            assert got.head == data[:10]
            assert got.tail == data[10:][-20:]
            assert got.omitted == max(0, size - 30)


def test_it_holds_no_more_than_it_shows() -> None:
    trimmed = fed(b"x" * 10_000_000, 65_536)
    assert sum(map(len, trimmed._tail)) <= 20


def test_text_is_inert() -> None:
    shown = text(b"\x1b[2Ja\tb\r\nc\x00\x9b31m\xe2\x80\xae\xf3\xa0\x81\xa1")
    assert "\x1b" not in shown
    assert "a\tb\nc" in shown
    assert not any(0x80 <= ord(c) < 0xA0 or ord(c) in (0x202E, 0xE0061) for c in shown)
