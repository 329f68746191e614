"""Writes a C project of many files that each take a while: project.py DIRECTORY FILES."""

import sys
from pathlib import Path

FUNCTIONS = 14
BODY = """
static double f{at}_{number}(double *a, int n)
{{
    double sum = {number};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < {size}; j++) {{
            a[i] = a[i] * {number}.5 + j;
            if (a[i] > 1e6) a[i] /= {size}.0 + i;
            sum += a[i] * (j % 3 ? 1.0 : -1.0);
        }}
    return sum;
}}
"""
MAKEFILE = """\
CC = gcc
CFLAGS = -O2 -g0
program: $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
\t$(CC) -o $@ $^
clean:
\trm -f *.o program
"""


def main() -> None:
    directory, count = Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        functions = "".join(BODY.format(at=at, number=number, size=number % 13 + 4) for number in range(FUNCTIONS))
        calls = "".join(f"    sum += f{at}_{number}(a, n);\n" for number in range(FUNCTIONS))
        text = f"{functions}\ndouble part{at}(double *a, int n)\n{{\n    double sum = 0;\n{calls}    return sum;\n}}\n"
        (directory / f"part{at}.c").write_text(text)
    (directory / "main.c").write_text(main_file(count))
    (directory / "Makefile").write_text(MAKEFILE)


def main_file(count: int) -> str:
    names = range(count)
    declared = "".join(f"double part{at}(double *a, int n);\n" for at in names)
    called = "".join(f"    sum += part{at}(a, 8);\n" for at in names)
    return (
        f"#include <stdio.h>\n{declared}int main(void)\n{{\n    double a[8] = {{1, 2, 3}}, sum = 0;\n{called}"
        '    printf("%g\\n", sum);\n    return 0;\n}\n'
    )


if __name__ == "__main__":
    main()
