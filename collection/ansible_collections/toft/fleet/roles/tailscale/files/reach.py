"""Whether the sshd of a node answers over the tailnet of the machine where this runs: reach.py ADDRESS PORT

This machine's tailscaled is asked to connect, as it may have no network device that other programs could use.
"""

import signal
import subprocess
import sys

PATIENCE_S = 10


def main() -> None:
    # It ends when its input does, so that is held open.
    argv = ["tailscale", "nc", *sys.argv[1:]]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as nc:
        signal.signal(signal.SIGALRM, lambda *_: nc.kill())
        signal.alarm(PATIENCE_S)
        assert nc.stdout is not None
        said = nc.stdout.readline(255)
        nc.kill()
    print(ascii(said.decode(errors="replace").strip()) if said else "nothing was said")
    sys.exit(not said.startswith(b"SSH-"))


main()
