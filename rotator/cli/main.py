"""Where the process begins."""

import sys
from typing import NoReturn

from rotator.cli import boundary, output, stop


def main() -> NoReturn:
    """Run `rotator`."""
    sys.exit(_run("rotator", sys.argv[1:]))


def rotate_now() -> NoReturn:
    """Run `rotate-now`."""
    sys.exit(_run("rotate-now", sys.argv[1:]))


def _run(program: str, arguments: list[str]) -> int:
    output.prepare()
    stop.install()
    return boundary.run(program, arguments)


if __name__ == "__main__":
    main()
