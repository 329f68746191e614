"""Carry Ethernet frames between two taps, each so many seconds late: `late_frames.py TAP TAP SECONDS`.

It stands in for netem, which many kernels lack. Frames that the kernel hands to a plain tap are whole (no
offloads), so they can be written to the other one as they are.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
LARGEST_FRAME = 65536
MOST_FRAMES = 10_000  # a full queue drops, as a real one does


def open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def carry(one: int, other: int, delay: float) -> None:
    opposite = {one: other, other: one}
    waiting: deque[tuple[float, int, bytes]] = deque()
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for tap in select.select([one, other], [], [], patience)[0]:
            frame = os.read(tap, LARGEST_FRAME)
            if len(waiting) < MOST_FRAMES:
                waiting.append((time.monotonic() + delay, opposite[tap], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, tap, frame = waiting.popleft()
            try:
                os.write(tap, frame)
            except OSError:
                continue  # that side is down or full: the frame is lost


def main() -> None:
    near, far, delay = sys.argv[1:]
    taps = open_tap(near), open_tap(far)
    print("carrying", flush=True)
    carry(*taps, float(delay))


if __name__ == "__main__":
    main()
