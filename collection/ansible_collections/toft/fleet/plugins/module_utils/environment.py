# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which variables of an environment belong to the user, and which only to one session, shell or connection."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account

    Environment = Dict[bytes, bytes]

# Belongs to one session, so today's value counts and not the one of the session that was captured.
SESSION = (
    b"SSH_AUTH_SOCK",
    b"XDG_SESSION_ID",
    b"XDG_SESSION_TYPE",
    b"XDG_SESSION_CLASS",
    b"XDG_RUNTIME_DIR",
    b"DBUS_SESSION_BUS_ADDRESS",
)
# Describes the shell or the connection, not the user.
DROPPED = (
    b"SHLVL",
    b"_",
    b"PWD",
    b"OLDPWD",
    b"TERM",
    b"SSH_CLIENT",
    b"SSH_CONNECTION",
    b"SSH_TTY",
    b"SSH_ORIGINAL_COMMAND",
    b"SUDO_COMMAND",
    b"SUDO_USER",
    b"SUDO_UID",
    b"SUDO_GID",
)
PLAIN_PATH = b"/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def identify(env: Environment, user: Account) -> None:
    """Say in `env` who the user is; what it says already counts, but for the home."""
    for name, value in ((b"USER", user.name), (b"LOGNAME", user.name), (b"SHELL", user.shell)):
        env.setdefault(name, value.encode("utf-8", "surrogateescape"))
    if user.home:
        env[b"HOME"] = os.fsencode(user.home)
    else:
        env.pop(b"HOME", None)
