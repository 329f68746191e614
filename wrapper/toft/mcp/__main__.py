"""`python -P -m toft.mcp [INVENTORY…]`, which `toft mcp` becomes. A bad configuration is said at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from toft.fleet.failures import Failure
from toft.fleet.policy_file import load
from toft.fleet.settings import config_directory
from toft.fleet.yaml_source import BadFile
from toft.mcp.desk import Desk
from toft.mcp.server import serve


def main() -> int:
    desk = Desk(dict(os.environ), Path.cwd(), tuple(map(Path, sys.argv[1:])))
    try:
        policy = load(config_directory(desk.env))
        with desk.fleet():
            pass
    except (BadFile, Failure) as error:
        sys.stderr.write(f"toft: {error}\n")
        return error.exit_code
    serve(desk, policy)
    return 0


if __name__ == "__main__":
    sys.exit(main())
