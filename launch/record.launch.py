"""A person or a scripted expert demonstrates a task, and the recorder records it.

ros2 launch il_ros record.launch.py --show-args
"""

from il_ros.nodes.runtime import launching
from il_ros.scenarios import SCENARIOS


def generate_launch_description():
    return launching.describe(SCENARIOS["record"])
