"""The trainer waits for its ~/train service and trains from the recorded episodes.

ros2 launch il_ros train.launch.py --show-args
"""

from il_ros.nodes.runtime import launching
from il_ros.scenarios import SCENARIOS


def generate_launch_description():
    return launching.describe(SCENARIOS["train"])
