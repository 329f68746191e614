"""What the scheduler says of its farm: ask_scheduler.py HOST PORT. Prints the control port's text."""

import socket
import sys

TIMEOUT = 45
WHO_SCHEDULES = bytes([43])


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    wake(host, port)
    with socket.create_connection((host, port + 1), TIMEOUT) as wire:
        wire.settimeout(TIMEOUT)
        wire.sendall(b"listcs\nlistjobs\nquit\n")
        wake(host, port)
        heard = b"".join(iter(lambda: wire.recv(65536), b""))
    sys.stdout.write(heard.decode("utf-8", "replace"))


def wake(host: str, port: int) -> None:
    """It takes up to 36 seconds to look for new connections, unless something comes in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.sendto(WHO_SCHEDULES, (host, port))


if __name__ == "__main__":
    main()
