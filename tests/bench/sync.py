"""A working tree of 10,000 files: the first sync, an unchanged one, one change."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.setting import Report
from tests.command import Toft

WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def run(report: Report) -> None:
    with report.lab(1) as (_lab, toft), tempfile.TemporaryDirectory() as folder:
        tree = _tree(Path(folder) / "many")
        first = _seconds(toft, tree)
        again = sorted(_seconds(toft, tree) for _ in range(7))
        begun = time.monotonic()
        toft("offload", "n1", "true", cwd=tree)
        whole = time.monotonic() - begun
        (tree / "d7/7.txt").write_text("changed\n")
        changed = _seconds(toft, tree)
        report(
            "sync of 10,000 files",
            f"first {first:.2f} s; unchanged {again[3]:.2f} s ({again[0]:.2f}-{again[-1]:.2f}); one changed "
            f"{changed:.2f} s; an offload with it {whole:.2f} s",
        )


def _tree(tree: Path) -> Path:
    for folder in range(100):
        (tree / f"d{folder}").mkdir(parents=True)
        for number in range(100):
            (tree / f"d{folder}/{number}.txt").write_text(f"{folder} {number}\n" * 20)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "many"]):
        subprocess.run(["git", *WHO, *words], cwd=tree, check=True)
    return tree


def _seconds(toft: Toft, tree: Path) -> float:
    (told,) = toft.json("sync", "n1", cwd=tree)["nodes"]
    return float(told["seconds"])
