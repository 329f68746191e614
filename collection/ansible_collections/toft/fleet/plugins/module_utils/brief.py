# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A job that ends at once, told whole in the answer to its start.

To follow a job is a session of its own, and a Python on the node. Most commands that people type are over
before that would have begun.
"""

from __future__ import annotations

import os
import select

from ansible_collections.toft.fleet.plugins.module_utils import jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

MOST_BYTES = 16 << 10


def output(job: jobs.Job, ended: int, patience_s: float) -> Optional[Dict[str, str]]:
    """Both streams in base64, if the job is over within the patience and has said no more than MOST_BYTES.

    `ended` is a descriptor that comes to its end with the job's supervisor: then nothing is written any more.
    """
    if not select.select([ended], [], [], patience_s)[0] or not os.path.exists(job.file(jobs.RESULT)):
        return None
    if sum(job.size(name) for name in jobs.STREAMS) > MOST_BYTES:
        return None
    return {name: _base64(job.file(name)) for name in jobs.STREAMS}


def _base64(path: str) -> str:
    import binascii

    try:
        with open(path, "rb", 0) as file:
            return binascii.b2a_base64(file.read(), newline=False).decode()
    except FileNotFoundError:
        return ""  # a terminal has one stream, and what was never spawned none
