def pytest_terminal_summary(terminalreporter) -> None:
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    lines = [line for report in reports for line in report.capstdout.splitlines() if line.startswith("promise ")]
    if lines:
        terminalreporter.section("figures of the promises")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
