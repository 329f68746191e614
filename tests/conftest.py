pytest_plugins = ["tests.alone", "tests.lab.fixtures", "tests.command"]
