"""Tells this node's agent a line, and prints what it answers: ask.py PORT LINE…"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

LIMIT = time.monotonic() + 90


def call(path: str, body: dict[str, str] | None = None) -> Any:
    url = f"http://127.0.0.1:{sys.argv[1]}{path}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def await_stable() -> None:
    while call("/status")["status"] != "stable":
        if time.monotonic() > LIMIT:
            sys.exit("the agent did not come to rest")
        time.sleep(0.1)


def main() -> None:
    for line in sys.argv[2:]:
        await_stable()
        call("/message", {"content": line, "type": "user"})
        await_stable()
        answer = call("/messages")["messages"][-1]["content"]
        print("\n".join(row.rstrip() for row in answer.splitlines()))  # a screen's rows are filled with spaces


main()
