import pytest
from toft.fleet.nodeset import fold
from toft.fleet.patterns import expand


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("all", "all"),
        ("builders:!pi*", "builders:!pi*"),
        ("n[1-3]", "n1,n2,n3"),
        ("n[1-2,5]", "n1,n2,n5"),
        ("nas,n[1,3]", "nas,n1,n3"),
        ("n[08-10]", "n08,n09,n10"),
        ("r[1-2]n[1-2]", "r1n1,r1n2,r2n1,r2n2"),
        ("pi[1-2].lan", "pi1.lan,pi2.lan"),
        ("all,!n[1-2]", "all,!n1,!n2"),
        ("web[0:2]", "web[0:2]"),
        ("~n[1-2]", "~n[1-2]"),
        ("n[1-99999999]", "n[1-99999999]"),
        ("", ""),
        ("n[", "n["),
    ],
)
def test_expand(typed: str, meant: str) -> None:
    assert expand(typed) == meant


@pytest.mark.parametrize("names", [["n1", "n2", "n3"], ["n01", "n02", "n10", "nas"], ["pi1.lan", "pi2.lan"]])
def test_what_toft_writes_it_also_reads(names: list[str]) -> None:
    assert sorted(expand(fold(names)).split(",")) == sorted(names)
