#!/usr/bin/env python3
"""Tells this node's agent a line, and prints what it answers: ask.py PORT LINE…"""

import json
import sys
import time
import urllib.request

LIMIT = time.monotonic() + 90


def call(path, body=None):
    url = f"http://127.0.0.1:{sys.argv[1]}{path}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def await_stable():
    while call("/status")["status"] != "stable":
        if time.monotonic() > LIMIT:
            sys.exit("the agent did not come to rest")
        time.sleep(0.1)


def main():
    for line in sys.argv[2:]:
        await_stable()
        call("/message", {"content": line, "type": "user"})
        await_stable()
        answer = call("/messages")["messages"][-1]["content"]
        print("\n".join(row.rstrip() for row in answer.splitlines()))  # a screen's rows are filled with spaces


main()
