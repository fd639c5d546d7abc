"""Makes what the slow suites boot and install, before the first of them has others wait for it.

What cannot be made here is skipped, as its tests are.
"""

from tests.booted import machine
from tests.packages import containers, debs

if __name__ == "__main__":
    if machine.why_not() is None:
        machine.base()
    if debs.why_not() is None:
        debs.package()
    if isinstance(containers.engine(), list):
        containers.image()
