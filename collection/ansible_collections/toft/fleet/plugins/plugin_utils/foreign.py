# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a file is a program, library or object for another kind of machine than a given one.

ELF, Mach-O (also with several architectures in it) and archives of either are known; everything else, scripts
above all, is nobody's in particular. Names are those of `uname -m`, with `arm64` as `aarch64`.
"""

from __future__ import annotations

HEAD_BYTES = 256 << 10
"""An archive begins with its index, which can be long."""
ELF = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64"}
ELF |= {243: "riscv", 258: "loongarch64"}
MACH = {7: "i386", 0x01000007: "x86_64", 12: "arm", 0x0100000C: "aarch64"}
RUNS = {"x86_64": {"x86_64", "i386"}, "i686": {"i386"}, "armv7l": {"arm"}, "armv6l": {"arm"}}
FAT_MOST = 16


def foreign(head: bytes, system: str, machine: str) -> str | None:
    """What it is made for (`aarch64 Linux`), if that is not this machine. `head` is its first HEAD_BYTES."""
    made_for = _made_for(head)
    if made_for is None:
        return None
    kind, machines = made_for
    wanted = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    if kind == ("macOS" if system == "Darwin" else "Linux") and machines & RUNS.get(wanted, {wanted}):
        return None
    return f"{'/'.join(sorted(machines))} {kind}"


def _made_for(head: bytes) -> tuple[str, set[str]] | None:
    if head[:8] == b"!<arch>\n":
        return _made_for_member(head)
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
        # What is for no processor of ours (BPF, a GPU) is not for another machine either.
        return ("Linux", {ELF[number]}) if number in ELF else None
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"):
        return _mach([int.from_bytes(head[4:8], "little")])
    if head[:4] in (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"):
        return _fat(head)
    return None


def _fat(head: bytes) -> tuple[str, set[str]] | None:
    """Java's classes begin alike; their version is far above any number of architectures."""
    count = int.from_bytes(head[4:8], "big")
    size = 20 if head[3] == 0xBE else 32
    if not 0 < count <= FAT_MOST:
        return None
    return _mach([int.from_bytes(head[at : at + 4], "big") for at in range(8, 8 + count * size, size)])


def _mach(numbers: list[int]) -> tuple[str, set[str]] | None:
    known = {MACH[number] for number in numbers if number in MACH}
    return ("macOS", known) if known else None


def _made_for_member(head: bytes) -> tuple[str, set[str]] | None:
    """The first object in an archive (`ar`), past its index and its table of names."""
    at = 8
    while at + 60 <= len(head):
        name, size = head[at : at + 16], head[at + 48 : at + 58].strip()
        if not size.isdigit():
            return None
        start = at + 60 + (int(name[3:].strip() or b"0") if name[:3] == b"#1/" and name[3:].strip().isdigit() else 0)
        found = _made_for(head[start:]) if head[start : start + 8] != b"!<arch>\n" else None
        if found:
            return found
        at += 60 + int(size) + int(size) % 2
    return None
