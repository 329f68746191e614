"""`make bench`: what toft costs, on lab hosts of this machine. Figures to read, never to pass or fail.

python -m tests.bench.run [NAME]…    all, or those named
"""

from __future__ import annotations

import importlib
import os
import platform
import sys

from tests.bench.setting import Report

BENCHES = ("hook", "parallel", "sync")


def main(names: list[str]) -> int:
    wrong = [name for name in names if name not in BENCHES]
    if wrong:
        sys.stderr.write(f"no benchmark {wrong[0]}; there are {', '.join(BENCHES)}\n")
        return 2
    sys.stdout.write(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    report = Report()
    for name in names or BENCHES:
        importlib.import_module(f"tests.bench.{name}").run(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
