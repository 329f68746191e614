# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The node program's own modules, kept compiled where jobs are kept anyway.

Compiling takes as long as starting Python does, and a Raspberry Pi feels both. The file's name holds
the digest of the very sources that came along and Python's own version of its byte code, so a kept file
is either exactly what would be compiled now or not looked at; it can be deleted at any time. It is
believed only if it is this user's own, nobody else could write it, and its checksum is right.
"""

from __future__ import annotations

import marshal
import os
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

KEPT_S = 7 * 24 * 3600.0


def file_of(module: str) -> str:
    """What a traceback calls a module that came over the wire."""
    return "toft/%s.py" % module.rpartition(".")[2]


def keep(path: str, sources: Dict[str, str]) -> None:
    """Best effort; only beside jobs, so that merely asking a node leaves nothing there."""
    folder = os.path.dirname(path)
    if not os.path.isdir(os.path.join(os.path.dirname(folder), "jobs")):
        return
    codes = {name: compile(text, file_of(name), "exec", dont_inherit=True) for name, text in sources.items()}
    data = marshal.dumps(codes)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        _forget_old(folder)
        with open("%s.%d" % (path, os.getpid()), "xb") as file:
            file.write(zlib.crc32(data).to_bytes(4, "big") + data)
        os.rename(file.name, path)
    except OSError:
        return


def _forget_old(folder: str) -> None:
    """What other versions of toft or Python left, and what was not finished."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if time.time() - os.stat(path).st_mtime > KEPT_S:
            os.unlink(path)
