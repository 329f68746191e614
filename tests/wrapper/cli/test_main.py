import pytest
from toft.cli.main import with_interval


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["status", "--watch"], ["status", "--watch=2"]),
        (["status", "--watch", "5"], ["status", "--watch", "5"]),
        (["status", "--watch", "0.5", "pi1"], ["status", "--watch", "0.5", "pi1"]),
        (["status", "--watch", "pi1"], ["status", "--watch=2", "pi1"]),
        (["-i", "x", "status", "--watch"], ["-i", "x", "status", "--watch=2"]),
        (["offload", "make", "--watch"], ["offload", "make", "--watch"]),
        (["offload", "git", "status", "--watch"], ["offload", "git", "status", "--watch"]),
        (["offload", "status", "--watch"], ["offload", "status", "--watch"]),
        (["--json", "status", "--watch"], ["--json", "status", "--watch=2"]),
        ([], []),
    ],
)
def test_watch_without_a_number(typed: list[str], meant: list[str]) -> None:
    assert with_interval(typed) == meant
