pytest_plugins = ["tests.alone", "tests.faults.report", "tests.lab.fixtures", "tests.command"]
