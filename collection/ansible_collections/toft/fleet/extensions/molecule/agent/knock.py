"""Prints what becomes of a request to HOST PORT, as the node itself would make it: open, or why not."""

import http.client
import sys

try:
    wire = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=10)
    wire.request("GET", "/status", headers={"Host": "localhost"})
    print("open" if wire.getresponse().status == 200 else "something else")
except OSError as error:
    print(type(error).__name__)
