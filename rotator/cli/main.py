"""Where the process begins."""

import gc
import signal
import sys
from functools import partial
from typing import NoReturn

from rotator.cli import boundary, core_dump, first, output, stop

#: How many objects are made before Python looks for garbage. At its own 700, a tenth of each start
#: went into looking through what imports had made, which stays.
_UNTIL_COLLECTED = 20_000


def main() -> NoReturn:
    """Run `rotator`."""
    sys.exit(_run("rotator", sys.argv[1:]))


def rotate_now() -> NoReturn:
    """Run `rotate-now`."""
    sys.exit(_run("rotate-now", sys.argv[1:]))


def _run(program: str, arguments: list[str]) -> int:
    core_dump.forbid()
    # Who started this may ignore it, and hands that on: the kernel then keeps how a child ended,
    # and a gate that is shut would be taken for an open one.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.set_threshold(_UNTIL_COLLECTED)
    output.prepare()
    return first.as_child_of_first(partial(_work, program, arguments))


def _work(program: str, arguments: list[str]) -> int:
    stop.install()
    return boundary.run(program, arguments)


if __name__ == "__main__":
    main()
