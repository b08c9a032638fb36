"""Load a policy or a reward model as a node does, and say what is wrong: `python -m il_ros.scenarios.policy_check`.

Arguments: a checkpoint, or a folder of versions; the required contract, a file or a shipped name ("": any); of a reward
model, its family. The exit status is 1 if it cannot be used, with the reason on standard error.
"""

from __future__ import annotations

import sys

from il_ros.core import contract
from il_ros.core.tables import say
from il_ros.policies.checkpoint import CheckpointError
from il_ros.policies.loading import load_policy
from il_ros.rewards import checkpoint


def main() -> int:
    """Run the check."""
    folder, wanted, *family = sys.argv[1:]
    required = contract.find(wanted) if wanted else None
    try:
        if not family:
            load_policy(folder, required)
        elif (found := checkpoint.load(folder, required).family) != family[0]:
            raise CheckpointError(f"{folder}: is a {found} model, not a {family[0]} model")
    except CheckpointError as error:
        say(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
