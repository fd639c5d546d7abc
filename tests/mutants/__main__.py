"""Apply each mutant to a copy of the checkout, and run the tests that have to find it.

    python -m tests.mutants [NAME…] [--sample N] [--seed S] [--jobs N] [--trust]

Exits with 1 if one survived, or if a run says nothing about it; CONTRIBUTING.md has the format.
"""

import argparse
import itertools
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from difflib import get_close_matches
from queue import SimpleQueue
from typing import TypeVar

from tests.mutants import patches, results
from tests.mutants.patches import Mutant
from tests.mutants.tree import Tree
from tests.mutants.verdict import Verdict, judge, run_tests

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Workshop:
    """Copies of the checkout, and as many workers; each works in one copy at a time."""

    def __init__(self, jobs: int) -> None:
        """Make the copies."""
        self._trees: list[Tree] = []
        self._free: SimpleQueue[Tree] = SimpleQueue()
        self._pool = ThreadPoolExecutor(jobs)
        for _ in range(jobs):
            tree = Tree()
            self._trees.append(tree)
            tree.check()
            self._free.put(tree)

    def do(
        self, work: Callable[[Tree, Task], Answer], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Answer]]:
        """Yield each task with its answer, as they are done."""

        def one(task: Task) -> Answer:
            tree = self._free.get()
            try:
                return work(tree, task)
            finally:
                self._free.put(tree)

        futures = {self._pool.submit(one, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()

    def close(self) -> None:
        """End what runs, and remove the copies."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for tree in self._trees:
            tree.close()
        self._pool.shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants that are asked for; return the exit code."""
    options = _parser().parse_args(arguments)
    # Ended by a signal, it removes its copies and ends what runs in them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        mutants = chosen(patches.read_all(), options)
        with _workshop(options.jobs) as workshop:
            if not (options.trust or all_pass(workshop, mutants)):
                return 1
            verdicts = list(judged(workshop, mutants))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(table(verdicts))
    return 0 if all(verdict.is_killed for verdict in verdicts) else 1


@contextmanager
def _workshop(jobs: int) -> Iterator[Workshop]:
    workshop = Workshop(jobs)
    try:
        yield workshop
    finally:
        workshop.close()


def chosen(mutants: Sequence[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants that are named, or a sample of all, or all.

    Raises:
        ValueError: there is no mutant of a name.
    """
    by_name = {mutant.name: mutant for mutant in mutants}
    if unknown := [name for name in options.names if name not in by_name]:
        message = f"no such mutant: {', '.join(unknown)}\nhint: {_near(unknown, [*by_name])}"
        raise ValueError(message)
    named = [by_name[name] for name in options.names] or list(mutants)
    if options.sample is None:
        return named
    print(
        f"a sample of {options.sample} by seed {options.seed}; "
        f"again: make mutants SAMPLE={options.sample} SEED={options.seed}",
        flush=True,
    )
    return random.Random(options.seed).sample(named, min(options.sample, len(named)))


def _near(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Return which mutants may be meant by names that none has, and where their names are."""
    near: list[str] = []
    for one in unknown:
        near += [name for name in known if one in name][:3] or get_close_matches(one, known)
    meant = f"did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    return f"{meant}`ls tests/mutants/*.patch` lists them, each a file NAME.patch"


def all_pass(workshop: Workshop, mutants: Sequence[Mutant]) -> bool:
    """Run the tests of these mutants without any; return whether all pass."""
    selections = list(dict.fromkeys(mutant.tests for mutant in mutants))
    count, passed = itertools.count(1), True
    for tests, run in workshop.do(run_tests, selections):
        verdict = run.useless or (f"FAILS: {run.failed}" if run.failed else f"{run.ran} pass")
        passed = passed and not (run.useless or run.failed)
        print(
            f"tests without a mutant {next(count)}/{len(selections)}, {run.seconds:.1f} s: "
            f"{' '.join(tests)}: {verdict}",
            flush=True,
        )
    return passed


def judged(workshop: Workshop, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Yield what becomes of each mutant; keep it for the page."""
    count = itertools.count(1)
    for mutant, verdict in workshop.do(judge, mutants):
        results.keep(verdict)
        print(
            f"{next(count)}/{len(mutants)}, {verdict.run.seconds:.1f} s: "
            f"{mutant.name}: {verdict.text}",
            flush=True,
        )
        yield verdict


def table(verdicts: Sequence[Verdict]) -> str:
    """Return one line for each mutant, and the sum."""
    rows = [("mutant", "tier", "killed by", "seconds")]
    for verdict in sorted(verdicts, key=lambda each: each.mutant.name):
        mutant, run = verdict.mutant, verdict.run
        rows.append((mutant.name, mutant.tier.value, verdict.text, f"{run.seconds:.1f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    killed = sum(verdict.is_killed for verdict in verdicts)
    return "\n".join(["", *lines, "", f"{killed} of {len(verdicts)} killed"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("--sample", type=int, metavar="N", help="this many, chosen at random")
    parser.add_argument(
        "--seed",
        type=int,
        default=int(time.time()),
        help="chooses the same sample again; it is printed",
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="copies to work in")
    parser.add_argument(
        "--trust", action="store_true", help="do not run the tests without a mutant first"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
