"""Stands in for the get-pip that `ansible-test` would download from a site of its own.

`make sanity` puts it where ansible-test keeps the downloaded one. It is run by the Python of an empty virtual
environment, which brings a pip along, and told which pip is wanted.
"""

import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word.startswith("pip==")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)
