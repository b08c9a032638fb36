"""The names under which Gymnasium makes the simulated tasks: `gymnasium.make("il_ros/push-v0")`.

`import il_ros.envs.registration` registers them. Gymnasium 1.4 does not load entry points of other packages; older ones
that do find them without the import.
"""

from __future__ import annotations

import gymnasium

from il_ros.sim.tasks.task import task_names

NAMES = {f"il_ros/{task}-v0": task for task in task_names()}


def register() -> None:
    """Register all tasks; a second call changes nothing."""
    for name, task in NAMES.items():
        if name not in gymnasium.registry:
            # the environment itself ends an episode: its time limit is the task's, in simulated time
            gymnasium.register(name, entry_point="il_ros.envs.task_env:TaskEnv", kwargs={"task": task})


register()
