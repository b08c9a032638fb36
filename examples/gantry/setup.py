"""Build gantry as an ament_python package (colcon) and as an ordinary one (pip)."""

from setuptools import setup

NAME = "gantry"

setup(
    name=NAME,
    version="0.1.0",
    description="A package of one's own for il_ros: a small gantry robot.",
    license="Apache-2.0",
    packages=[NAME],
    package_data={NAME: ["*.xml", "*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/record.launch.py"]),
    ],
    install_requires=["il_ros"],
    zip_safe=False,
    # il_ros finds these by name and imports each one when it is used
    entry_points={
        "il_ros.tasks": ["gantry = gantry.task:Gantry"],
        "il_ros.experts": ["gantry = gantry.expert:GantryExpert"],
        "il_ros.families": ["linear = gantry.family:FAMILY"],
        "il_ros.codecs": ["geometry_msgs/msg/PolygonStamped = gantry.codec:OutlineCodec"],
        "il_ros.devices": ["clicked_point = gantry.device:ClickedPoint"],
    },
)
