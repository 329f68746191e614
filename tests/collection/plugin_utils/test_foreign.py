"""What a file is made for, by its first bytes."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.foreign import HEAD_BYTES, foreign


def elf(machine: int, order: str = "<") -> bytes:
    return b"\x7fELF" + bytes((2, 1 if order == "<" else 2, 1)) + bytes(9) + struct.pack(order + "HH", 2, machine)


def mach(cpu: int) -> bytes:
    return b"\xcf\xfa\xed\xfe" + struct.pack("<I", cpu)


def fat(*cpus: int) -> bytes:
    kinds = b"".join(struct.pack(">5I", cpu, 0, 0, 0, 0) for cpu in cpus)
    return b"\xca\xfe\xba\xbe" + struct.pack(">I", len(cpus)) + kinds


def member(name: bytes, data: bytes) -> bytes:
    return name.ljust(48) + str(len(data)).encode().ljust(10) + b"`\n" + data + b"\n" * (len(data) % 2)


ARM64, X86 = 0x0100000C, 0x01000007
ARCHIVE = b"!<arch>\n" + member(b"/", b"index") + member(b"x.o/", elf(183))


@pytest.mark.parametrize(
    ("head", "system", "machine", "made_for"),
    [
        (elf(183), "Linux", "x86_64", "aarch64 Linux"),
        (elf(183), "Linux", "aarch64", None),
        (elf(62), "Linux", "x86_64", None),
        (elf(3), "Linux", "x86_64", None),
        (elf(62), "Linux", "i686", "x86_64 Linux"),
        (elf(40), "Linux", "armv7l", None),
        (elf(40), "Linux", "aarch64", "arm Linux"),
        (elf(22, ">"), "Linux", "x86_64", "s390x Linux"),
        (elf(247), "Linux", "x86_64", None),
        (elf(62), "Darwin", "x86_64", "x86_64 Linux"),
        (mach(ARM64), "Darwin", "arm64", None),
        (mach(X86), "Darwin", "arm64", "x86_64 macOS"),
        (mach(ARM64), "Linux", "aarch64", "aarch64 macOS"),
        (fat(X86, ARM64), "Darwin", "arm64", None),
        (fat(X86), "Darwin", "arm64", "x86_64 macOS"),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x41", "Darwin", "arm64", None),
        (ARCHIVE, "Linux", "x86_64", "aarch64 Linux"),
        (ARCHIVE, "Linux", "aarch64", None),
        (b"!<arch>\n" + b"x" * 100, "Linux", "x86_64", None),
        (b"#!/bin/sh\n", "Linux", "x86_64", None),
        (b"", "Linux", "x86_64", None),
        (b"\x7fELF", "Linux", "x86_64", None),
    ],
)
def test_made_for(head: bytes, system: str, machine: str, made_for: str | None) -> None:
    assert foreign(head, system, machine) == made_for


@pytest.mark.skipif(sys.platform != "linux", reason="looks at this machine's own Python")
def test_a_real_program_of_this_machine() -> None:
    import platform

    head = Path(sys.executable).resolve().read_bytes()[:HEAD_BYTES]
    assert foreign(head, "Linux", platform.machine()) is None
    assert foreign(head, "Darwin", "arm64") is not None
