"""Measure everything: `python -m bench`, or `python -m bench SECTION…` for a part.

Prints each figure beside its floor, and writes `bench/results.json`. It judges nothing: the
aims are printed for the reader, as a busy machine reaches none of them.
"""

import argparse
from collections.abc import Callable, Mapping

from bench import daemon, emergency, fleet, growth, libraries, policies, rotation, startup
from bench.figures import Figure, machine, save, show

SECTIONS: Mapping[str, tuple[Callable[[], list[Figure]], ...]] = {
    "rotation": (rotation.over_latency, rotation.beside_script),
    "libraries": (libraries.alone,),
    "start-up": (startup.start_up,),
    "configuration": (policies.judge,),
    "fleet": (fleet.fleet_on_sqlite, fleet.daemons_on_postgresql),
    "limit": (fleet.fleet_within_a_limit,),
    "emergency": (emergency.emergency,),
    "daemon": (daemon.poll, daemon.idle, daemon.due_at_once),
    "growth": (growth.growth,),
}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument(
        "--whole", action="store_true", help="growth to ten million entries, for half an hour"
    )
    given = parser.parse_args()
    chosen = given.sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {unknown.pop()}; there are {', '.join(SECTIONS)}")
    figures: list[Figure] = []
    for section in chosen:
        print(f"{section:<60}{'floor':>10}{'ours':>10}    {'ratio':>8}")
        for measure in SECTIONS[section]:
            found = growth.growth(whole=True) if given.whole and section == "growth" else measure()
            show(found)
            figures += found
    print(", ".join(f"{what}: {value}" for what, value in machine().items()))
    save(figures)


if __name__ == "__main__":
    main()
