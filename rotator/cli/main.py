"""Where the process begins.

Nothing is imported before the arguments are known, so that `--version` is answered at once.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run `rotator`."""
    sys.exit(_run("rotator", sys.argv[1:]))


def rotate_now() -> NoReturn:
    """Run `rotate-now`."""
    sys.exit(_run("rotate-now", sys.argv[1:]))


def _run(program: str, arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from rotator.cli.version import version  # noqa: PLC0415  # see above

        sys.stdout.write(f"{version()}\n")
        return 0
    from rotator.cli import boundary, output, stop  # noqa: PLC0415  # see above

    output.prepare()
    stop.install()
    return boundary.run(program, arguments)


if __name__ == "__main__":
    main()
