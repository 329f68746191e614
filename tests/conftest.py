import os

pytest_plugins = ["tests.alone", "tests.faults.report", "tests.lab.fixtures", "tests.command"]

os.environ["TOFT_WARM"] = "0"  # a test that wants the warm engine says so, and ends it
