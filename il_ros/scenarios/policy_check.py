"""Load a policy as the policy server does, and say what is wrong: `python -m il_ros.scenarios.policy_check`.

Arguments: a checkpoint, or a folder of versions; the required contract, a file or a shipped name ("": any).
The exit status is 1 if the policy cannot be used, with the reason on standard error.
"""

from __future__ import annotations

import sys

from il_ros.core import contract
from il_ros.core.tables import say
from il_ros.policies.checkpoint import CheckpointError
from il_ros.policies.loading import load_policy


def main() -> int:
    """Run the check."""
    folder, wanted = sys.argv[1:]
    try:
        load_policy(folder, contract.find(wanted) if wanted else None)
    except CheckpointError as error:
        say(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
