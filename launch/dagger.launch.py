"""A policy acts, an expert corrects it, and the trainer trains the next policy from both.

ros2 launch il_ros dagger.launch.py --show-args
"""

from il_ros.nodes.runtime import launching
from il_ros.scenarios import SCENARIOS


def generate_launch_description():
    return launching.describe(SCENARIOS["dagger"])
