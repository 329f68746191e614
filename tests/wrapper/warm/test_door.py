"""Values and descriptors through a socket."""

import os
import socket

import pytest
from toft.warm import door
from toft.warm.surroundings import surroundings


def test_a_value_and_descriptors_arrive() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    reading, writing = os.pipe()
    with near, far:
        door.send(near, {"argv": [b"\xff", b""]}, [reading])
        os.close(reading)
        value, (other,) = door.receive(far)
        assert value == {"argv": [b"\xff", b""]}
        os.write(writing, b"x")
        assert os.read(other, 2) == b"x"
        os.close(other)
    os.close(writing)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x05abc", b"\xff\xff\xff\xff" + b"x" * 100])
def test_what_is_cut_short_or_too_long_is_nothing(sent: bytes) -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    with far:
        near.sendall(sent)
        near.close()
        assert door.receive(far)[0] is None


def test_a_long_value_comes_in_pieces() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    with near, far:
        if os.fork() == 0:
            door.send(near, ["x" * 300_000] * 3)
            os._exit(0)
        assert door.receive(far)[0] == ["x" * 300_000] * 3
        os.wait()


def test_the_other_end_is_asked_who_it_is() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    with near, far:
        assert door.peer(near) == os.getuid()


def test_nobody_there() -> None:
    assert door.connect("/nowhere/e") is None


@pytest.mark.parametrize("name", ["ANSIBLE_FORKS", "LC_ALL", "PYTHONPATH", "HOME"])
def test_other_surroundings_have_another_engine(name: str) -> None:
    assert surroundings({name: "a"}) != surroundings({name: "b"})
    assert surroundings({"X": "a"}) == surroundings({"X": "b"})


def test_a_changed_configuration_of_ansible_has_another_engine(tmp_path) -> None:
    file = tmp_path / "ansible.cfg"
    file.write_text("[defaults]\n")
    before = surroundings({"ANSIBLE_CONFIG": str(file)})
    file.write_text("[defaults]\nforks = 3\n")
    assert surroundings({"ANSIBLE_CONFIG": str(file)}) != before
