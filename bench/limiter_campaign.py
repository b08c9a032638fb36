"""A million commands of the supervisor under random events: none may break a limit.

    python bench/limiter_campaign.py [--commands 1000000] [--seed 0]

Four contracts (a joint and a base; several keys of all kinds; a pose and a gripper; continuous joints), all modes, both
clocks, and in every fifth event something that is not everyday driving: bursts, glitches, silence, clocks that stop or
are set, restarts, changes of mode, emergency stops, activations, releases, rest (`support/limit_events.py`). The oracle
(`support/limit_oracle.py`) checks every command by the contract. Prints one JSON object: the counts of commands, events
and checks, and the largest ratio to each limit. Exit code 1 when a command breaks a limit, with the seed of its run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from support.limit_events import RandomEvents
from support.limit_oracle import CONTRACTS, LimitError, Worst

EVENTS = 400
"""Events of one run; then options and contract are drawn again."""


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    worst, commands, followed, runs, began_s = Worst(), 0, 0, 0, time.monotonic()
    by_contract = dict.fromkeys(CONTRACTS, 0)
    while commands < args.commands:
        seed = args.seed + runs
        rng = np.random.default_rng(seed)
        name = list(CONTRACTS)[runs % len(CONTRACTS)]
        runs += 1
        try:
            events = RandomEvents(CONTRACTS[name], rng, worst)
            events.run(EVENTS)
        except LimitError as error:
            print(f"run {seed}, contract {name}: {error}", file=sys.stderr)
            return 1
        commands += events.motion.commands
        followed += events.motion.followed
        by_contract[name] += events.motion.commands
    checks = {name: count for name, count in sorted(worst.counts.items()) if not name.startswith("event ")}
    others = {name[6:]: count for name, count in sorted(worst.counts.items()) if name.startswith("event ")}
    result = {
        "commands": commands,
        "towards a target": followed,
        "by contract": by_contract,
        "runs": runs,
        "violations": 0,
        "events beside driving": others,
        "checks": checks,
        "largest ratio to the limit": {name: round(ratio, 9) for name, ratio in sorted(worst.ratios.items())},
        "seconds": round(time.monotonic() - began_s, 1),
    }
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
