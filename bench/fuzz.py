"""Read mutated inputs with every reader of outside data; print the counts as a table.

    python bench/fuzz.py [--seconds 10] [--only NAME ...] [--number 0] [--keep]

Each input must be read, or refused with the reader's declared error, within five seconds and the memory limit.
Inputs are mutations of valid ones (test/support/fuzzing.py) by a random generator that `--number` seeds. `--keep`
writes the shortest input of each kind of crash to test/fuzz/crashes, where the tests read it again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1] / "test"
sys.path[:0] = [str(TEST.parent), str(TEST / "support")]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

from fuzz_readers import READERS, all_readers, memory_folder, quietly  # noqa: E402
from fuzzing import Counts, run  # noqa: E402

MEMORY_BYTES = 6 << 30
"""Address space of the process; torch alone takes more than two gigabytes."""


def main() -> int:
    """Run the readers; return 1 if one crashed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="time per reader")
    parser.add_argument("--only", nargs="+", choices=READERS, default=READERS, help="these readers")
    parser.add_argument("--number", type=int, default=0, help="seeds the mutations")
    parser.add_argument("--keep", action="store_true", help="write crashing inputs to test/fuzz/crashes")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print("| reader | inputs | accepted | slowest [ms] | crashes |\n|---|---|---|---|---|")
    total = crashed = 0
    with memory_folder() as folder:
        readers = all_readers(Path(folder))
        for name in args.only:
            with quietly():
                counts = run(readers[name], args.seconds, args.number)
            total, crashed = total + counts.inputs, crashed + len(counts.crashes)
            slowest_ms = 1e3 * counts.slowest_s
            print(
                f"| {name} | {counts.inputs:,} | {counts.accepted:,} | {slowest_ms:.0f} | {len(counts.crashes)} |"
            )
            sys.stdout.flush()
            report(name, counts, args.keep)
    print(f"| sum | {total:,} | | | {crashed} |")
    return 1 if crashed else 0


def report(name: str, counts: Counts, keep: bool) -> None:
    """Print each kind of crash, and keep its input."""
    for kind, crash in counts.crashes.items():
        print(f"\n{name}: {kind}: {crash.raw[:300]!r}\n{crash.trace}", file=sys.stderr)
        if keep:
            folder = TEST / "fuzz" / "crashes" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{hashlib.sha256(crash.raw).hexdigest()[:12]}.bin").write_bytes(crash.raw)


if __name__ == "__main__":
    sys.exit(main())
