# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only a node itself can see of its services, without being root: its agent, and its Tailscale.

AgentAPI has no password and listens for nobody but its own node. Tailscale tells its state to every user there.
What they say is passed on as text: to understand it is the asker's.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    Found = Dict[str, Any]

RECORD = "/etc/toft/agent.json"
"""What the role toft.fleet.agent writes down."""
PORT = 3284
MOST = 64 << 10
ASK = b"GET /status HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ALSO = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin", "/usr/bin")
"""Where programs may be that a login which runs one command does not find."""


def look(wanted: Mapping[str, Any], env: Mapping[bytes, bytes]) -> Found:
    """`wanted` has `agent: {port, patience_s}` or `tailnet: {programs, patience_s}`, or both; so has the answer."""
    found: Found = {}
    if wanted.get("agent"):
        found["agent"] = agent(wanted["agent"])
    if wanted.get("tailnet"):
        found["tailnet"] = tailnet(wanted["tailnet"], env)
    return found


def agent(asked: Mapping[str, Any], record: str = RECORD) -> Found:
    """`answer` is all that came (at most MOST bytes) of what may be HTTP; `error` is `refused`, `timeout`, or in the
    system's words why there is none."""
    told = _record(record)
    port = _port(asked.get("port")) or _port(told.get("port")) or PORT
    return dict({"port": port, "service": str(told.get("service") or "")}, **_status(port, float(asked["patience_s"])))


def _status(port: int, patience_s: float) -> Found:
    import _socket

    deadline = time.monotonic() + patience_s
    wire = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    heard, error = bytearray(), None
    try:
        wire.settimeout(patience_s)
        wire.connect(("127.0.0.1", port))
        wire.sendall(ASK)
        while len(heard) < MOST:
            wire.settimeout(max(0.001, deadline - time.monotonic()))
            data = wire.recv(4096)
            if not data:
                break
            heard += data
    except _socket.timeout:
        error = "timeout"
    except ConnectionRefusedError:
        error = "refused"
    except OSError as why:
        error = str(why.strerror or why)
    finally:
        wire.close()
    return {"answer": heard.decode("utf-8", "replace"), "error": error}


def _record(path: str) -> Dict[str, Any]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            told = json.loads(file.read(MOST))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _port(value: object) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


def tailnet(asked: Mapping[str, Any], env: Mapping[bytes, bytes]) -> Found:
    """`address` is this node's end of the connection that we came by (none without ssh, or behind sudo); `status` what
    `tailscale status --json` says, `said` what it says instead; `there` whether there is such a program."""
    words = env.get(b"SSH_CONNECTION", b"").decode("utf-8", "replace").split()
    found: Found = {"address": words[2] if len(words) == 4 else None, "there": False, "status": None, "said": ""}
    program = _find(asked["programs"], os.fsdecode(env.get(b"PATH", b"")))
    return dict(found, **_told_by(program, float(asked["patience_s"]))) if program else found


def _told_by(program: str, patience_s: float) -> Found:
    import subprocess

    try:
        # TAILSCALE_BE_CLI: without it the app of macOS may open its window.
        done = subprocess.run(
            [program, "status", "--json", "--peers=false"],
            env=dict(os.environ, TAILSCALE_BE_CLI="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"there": True, "said": "no answer within %g s" % patience_s}
    except OSError as why:
        return {"there": True, "said": str(why.strerror or why)}
    status = done.stdout[:MOST].decode("utf-8", "replace")
    said = done.stderr[:MOST].decode("utf-8", "replace").strip()
    return {"there": True, "status": status if status.strip() else None, "said": said}


def _find(names: List[str], path: str) -> Optional[str]:
    folders = [folder for folder in path.split(":") if folder.startswith("/")]
    for name in map(str, names):
        places = [name] if name.startswith("/") else [os.path.join(folder, name) for folder in (*folders, *ALSO)]
        for place in places:
            if os.path.isfile(place) and os.access(place, os.X_OK):
                return place
    return None
