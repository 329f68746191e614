from tests.faults.report import FIGURES


def pytest_terminal_summary(terminalreporter) -> None:
    if FIGURES:
        terminalreporter.section("figures of the promises")
        for line in sorted(FIGURES):
            terminalreporter.write_line(line)
