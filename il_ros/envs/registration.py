"""The names under which Gymnasium makes the simulated tasks: `gymnasium.make("il_ros/push-v0")`.

`import il_ros.envs.registration` registers them. Gymnasium 1.4 does not load entry points of other packages; older ones
that do find them without the import.
"""

from __future__ import annotations

# not `import gymnasium`: as its entry point, this runs in the middle of that import
from gymnasium.envs import registration

from il_ros.sim.tasks.task import task_names

NAMES = {f"il_ros/{task}-v0": task for task in task_names()}


def register() -> None:
    """Register all tasks; a second call changes nothing."""
    for name, task in NAMES.items():
        if name not in registration.registry:
            # the environment itself ends an episode: its time limit is the task's, in simulated time
            registration.register(name, entry_point="il_ros.envs.task_env:TaskEnv", kwargs={"task": task})


register()
