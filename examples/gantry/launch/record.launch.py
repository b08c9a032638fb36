"""Record the gantry: il_ros's launch file with this package's task. Other arguments are passed on."""

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    file = PathJoinSubstitution([FindPackageShare("il_ros"), "launch", "record.launch.py"])
    record = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file), launch_arguments={"task": "gantry"}.items()
    )
    return LaunchDescription([record])
