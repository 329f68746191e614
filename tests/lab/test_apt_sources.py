"""The machine's apt sources in both of their forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.apt_sources import AptSource, choose_suite, parse_deb822, parse_lines, read_sources

DEB822 = """\
Types: deb
# a comment in the middle
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/a.gpg

Enabled: no
Types: deb
URIs: http://off.test
Suites: x
Components: main

Types: deb-src
URIs: http://source.test
Suites: bookworm
Components: main
"""


def test_deb822_stanzas() -> None:
    assert list(parse_deb822(DEB822)) == [
        AptSource("http://mirror.test/debian", "bookworm", ("main",), "/keys/a.gpg"),
        AptSource("http://mirror.test/debian", "bookworm-updates", ("main",), "/keys/a.gpg"),
    ]


def test_one_line_entries() -> None:
    text = "# deb http://no.test x main\ndeb [arch=amd64 signed-by=/k] http://a.test noble main universe # hm\n"
    assert list(parse_lines(text)) == [AptSource("http://a.test", "noble", ("main", "universe"), "/k")]
    assert AptSource("http://a.test", "noble", ("main",), None).line() == "deb http://a.test noble main"


def test_sources_are_read_from_both_kinds_of_file_and_through_a_mirror_list(tmp_path: Path) -> None:
    (tmp_path / "mirrors").write_text("http://best.test/\tpriority:1\nhttp://other.test/\n")
    (tmp_path / "sources.list").write_text(f"deb mirror+file:{tmp_path}/mirrors noble main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    found = read_sources(tmp_path)
    assert [source.uri for source in found] == ["http://best.test/", *["http://mirror.test/debian"] * 2]


@pytest.mark.parametrize(
    ("suites", "chosen"),
    [
        (["bookworm", "bookworm-security", "other"], ("bookworm", 2)),
        (["noble", "noble-updates", "noble-backports"], ("noble", 2)),
    ],
)
def test_preferred_release_else_the_machines_own(tmp_path: Path, suites: list[str], chosen: tuple[str, int]) -> None:
    release = tmp_path / "os-release"
    release.write_text("NAME=x\nVERSION_CODENAME=noble\n")
    sources = [AptSource("http://a.test", suite, ("main",), None) for suite in suites]
    name, found = choose_suite(sources, release)
    assert (name, len(found)) == chosen


def test_no_usable_source_is_said(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text("NAME=x\n")
    with pytest.raises(LookupError, match="bookworm"):
        choose_suite([], release)
