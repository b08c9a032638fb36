"""Your own program acts, through il_ros.nodes.env.ros_env.RosEnv; an expert may take over.

ros2 launch il_ros env.launch.py --show-args
"""

from il_ros.nodes.runtime import launching
from il_ros.scenarios import SCENARIOS


def generate_launch_description():
    return launching.describe(SCENARIOS["env"])
