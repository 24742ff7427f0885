"""Runs the corpus: `python -m tests.corpus [--count N] [--seed S] [--kind K ...]`."""

import argparse
import sys
from collections import Counter

from .cases import KINDS, choose
from .runner import run

SHOWN = 40


def main(argv: list[str] | None = None) -> int:
    """Runs cases, prints a table of the kinds and the failures; returns 1 if there are any.

    Args:
        argv: Arguments of the command; None for those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__.partition(":")[0])
    parser.add_argument("--count", type=int, default=1600, metavar="N", help="number of cases (default: 1600)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all cases (default: 0)")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), metavar="K", help="kinds: all of them")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="number of processes (default: 2)")
    parser.add_argument("--all", action="store_true", help="print every case, not only failures")
    arguments = parser.parse_args(argv)
    counts, failures, slowest = {kind: Counter() for kind in arguments.kind}, [], {}
    for outcome in run(choose(arguments.count, arguments.seed, arguments.kind), arguments.workers):
        counts[outcome.kind][outcome.status] += 1
        slowest[outcome.kind] = max(slowest.get(outcome.kind, 0.0), outcome.seconds)
        if outcome.status == "failed":
            failures.append(outcome)
        if arguments.all:
            print(f"{outcome.kind:12} {outcome.status:8} {outcome.name}: {outcome.why}", flush=True)
    _print_table(counts, slowest)
    for outcome in failures[:SHOWN]:
        print(f"FAILED {outcome.kind}: {outcome.name}: {outcome.why}")
    if len(failures) > SHOWN:
        print(f"and {len(failures) - SHOWN} more failures")
    return 1 if failures else 0


def _print_table(counts, slowest):
    columns = ("read", "refused", "failed")
    print(f"{'kind':12} {'cases':>6} " + " ".join(f"{name:>8}" for name in columns) + "  slowest")
    for kind, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        numbers = " ".join(f"{count[name]:8}" for name in columns)
        print(
            f"{kind:12} {sum(count.values()):6} {numbers} {slowest.get(kind, max(slowest.values(), default=0)):7.1f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
