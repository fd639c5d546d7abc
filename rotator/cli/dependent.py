"""`rotator` as a child of the demo, which it does not outlive, however the demo ends."""

import os
import signal
import threading

from rotator.cli.main import main


def _end_with_parent() -> None:
    """Kill this process when standard input ends.

    The parent holds the other end of that pipe and never writes to it: the kernel closes it even
    for a parent that was killed. What is killed loses nothing, as the demo shows.
    """
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
