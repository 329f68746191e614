import pytest
from toft.fleet.nodeset import fold


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["nas"], "nas"),
        (["pi1", "pi2", "pi3"], "pi[1-3]"),
        (["pi3", "pi1", "pi2", "pi2"], "pi[1-3]"),
        (["pi1", "pi3"], "pi[1,3]"),
        (["pi1", "pi2", "pi4", "nas"], "nas,pi[1-2,4]"),
        (["n01", "n02", "n10"], "n[01-02,10]"),
        (["n1", "n01"], "n01,n1"),
        (["n08", "n09"], "n[08-09]"),
        (["node-1", "node-2"], "node-[1-2]"),
        (["pi1.lan", "pi2.lan"], "pi[1-2].lan"),
        (["macpro51"], "macpro51"),
        (["a", "b"], "a,b"),
    ],
)
def test_fold(names: list[str], folded: str) -> None:
    assert fold(names) == folded
