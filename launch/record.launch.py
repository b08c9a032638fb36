"""A person, or a scripted expert, shows a task and the recorder keeps it.

ros2 launch il_ros record.launch.py --show-args
"""

from il_ros.nodes.runtime import launching
from il_ros.scenarios import SCENARIOS


def generate_launch_description():
    return launching.describe(SCENARIOS["record"])
