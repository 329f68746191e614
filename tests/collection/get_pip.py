"""Stands in for the get-pip that `ansible-test` would download from a site of its own.

`make sanity` puts it where ansible-test keeps the downloaded one. It is run by the Python of an empty virtual
environment, which brings a pip along.
"""

import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "pip==24.2"], check=True)
