"""Input is not taken from whoever started us before the command has taken it."""

import os
import sys
from pathlib import Path

import pytest
from toft.engine.stdin import Closed, File, Pipe, Stream, source


def test_a_file_is_left_where_the_command_stopped(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"one\ntwo\nthree\n")
    with path.open("rb", buffering=0) as file:
        file.seek(4)
        stdin = source(file.fileno())
        assert isinstance(stdin, File)
        assert stdin.take(100) == b"two\nthree\n"
        assert stdin.take(100) == b""
        stdin.consumed(4)
        stdin.close()
        assert file.read() == b"three\n"


def test_a_file_that_nobody_read_is_as_before(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"one\ntwo\n")
    with path.open("rb", buffering=0) as file:
        stdin = source(file.fileno())
        stdin.take(100)
        stdin.close()
        assert file.read() == b"one\ntwo\n"


@pytest.mark.skipif(sys.platform != "linux", reason="tee(2) is Linux's; elsewhere a pipe is read as ssh reads it")
def test_a_pipe_is_only_looked_into_until_the_command_reads() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n")
    stdin = source(reader)
    assert isinstance(stdin, Pipe)
    assert stdin.fd == reader
    assert stdin.take(100) == b"one\ntwo\n"
    assert stdin.fd is None, "nothing more is asked for before the command has read"
    stdin.close()
    assert os.read(reader, 100) == b"one\ntwo\n", "it is all still there"
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(sys.platform != "linux", reason="tee(2) is Linux's; elsewhere a pipe is read as ssh reads it")
def test_a_pipe_is_read_once_the_command_reads() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\n")
    stdin = source(reader)
    assert stdin.take(100) == b"one\n"
    stdin.consumed(2)
    os.write(writer, b"two\n")
    assert stdin.take(100) == b"two\n", "what was looked at is not given twice"
    os.close(writer)
    assert stdin.take(100) == b""
    assert stdin.fd is None
    os.close(reader)


def test_an_empty_pipe_that_is_closed_is_at_its_end() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    stdin = source(reader)
    assert stdin.take(100) == b""
    os.close(reader)


def test_a_closed_descriptor_is_at_its_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert isinstance(source(reader), Closed)


def test_a_terminal_is_read_as_it_comes() -> None:
    ours, theirs = os.openpty()
    stdin = source(theirs)
    assert isinstance(stdin, Stream)
    os.write(ours, b"hi\n")
    assert stdin.take(100) == b"hi\n"
    os.close(ours)
    assert stdin.take(100) == b"", "a terminal that is gone is an end, not an error"
    os.close(theirs)
