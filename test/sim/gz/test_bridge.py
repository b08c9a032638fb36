"""Worlds, bridge and contracts name the same topics with the same types. Needs no gz."""

from xml.etree import ElementTree

import pytest
import yaml

from il_ros.core import contract, share
from il_ros.core.specs import IMAGE
from il_ros.scenarios.gz_sim import bridge_file
from il_ros.sim.gz.task import gz_task
from il_ros.sim.tasks.task import GZ, Cameras, make_task, task_class, task_names

TASKS = [name for name in task_names() if GZ in task_class(name).simulators]
FILES = sorted(share.path("config", "contracts").glob("*.yaml"))
TASK_OF = {
    path.stem: "drive" if path.stem == "drive" else path.stem.removeprefix("arm_").removesuffix("_images")
    for path in FILES
}
CONTRACTS = {path.stem: contract.load(path) for path in FILES if TASK_OF[path.stem] in TASKS}

PAIRS = {  # from ros_gz_bridge's README
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
    "sensor_msgs/msg/JointState": "gz.msgs.Model",
    "sensor_msgs/msg/Image": "gz.msgs.Image",
    "sensor_msgs/msg/LaserScan": "gz.msgs.LaserScan",
    "geometry_msgs/msg/PoseStamped": "gz.msgs.Pose",
    "nav_msgs/msg/Odometry": "gz.msgs.Odometry",
    "std_msgs/msg/Float64": "gz.msgs.Double",
}
PLUGINS = {  # topics of each gz-sim system, by the SDF element that names the topic
    "JointStatePublisher": ("topic", "gz.msgs.Model", "GZ_TO_ROS"),
    "OdometryPublisher": ("odom_topic", "gz.msgs.Odometry", "GZ_TO_ROS"),
    "JointPositionController": ("topic", "gz.msgs.Double", "ROS_TO_GZ"),
    "JointController": ("topic", "gz.msgs.Double", "ROS_TO_GZ"),
}
SENSORS = {"camera": "gz.msgs.Image", "gpu_ray": "gz.msgs.LaserScan"}


def bridge(task):
    return yaml.safe_load(bridge_file(task).read_text())


def world_of(task):
    """Return {topic: (type, direction)} of the world and its models."""
    root = ElementTree.parse(share.path("worlds", f"{task}.sdf")).getroot()
    found = {"/clock": ("gz.msgs.Clock", "GZ_TO_ROS")}
    included = [include.findtext("uri").removeprefix("model://") for include in root.iter("include")]
    parts = [
        root,
        *(ElementTree.parse(share.path("models", name, "model.sdf")).getroot() for name in included),
    ]
    for sensor in (sensor for part in parts for sensor in part.iter("sensor")):
        found["/" + sensor.findtext("topic")] = (SENSORS[sensor.get("type")], "GZ_TO_ROS")
    for plugin in root.iter("plugin"):
        kind = plugin.get("name").rpartition("::")[2]
        if kind in PLUGINS:
            element, gz_type, direction = PLUGINS[kind]
            found["/" + plugin.findtext(element)] = (gz_type, direction)
    for model in root.iter("model"):
        for plugin in model.findall("plugin"):
            if plugin.get("name").endswith("::PosePublisher"):
                found[f"/model/{model.get('name')}/pose"] = ("gz.msgs.Pose", "GZ_TO_ROS")
    return found


@pytest.mark.parametrize("task", TASKS)
def test_the_bridge_carries_what_the_world_has(task):
    there = world_of(task)
    for entry in bridge(task):
        if task == "reach" and entry["ros_topic_name"] == "gz/object_pose":
            continue  # all worlds of the arm share a bridge; this world has no object
        assert there[entry["gz_topic_name"]] == (entry["gz_type_name"], entry["direction"]), entry
        assert PAIRS[entry["ros_type_name"]] == entry["gz_type_name"], entry


@pytest.mark.parametrize("task", TASKS)
def test_the_bridge_carries_what_the_node_subscribes_to_and_publishes(task):
    carried = {(e["ros_topic_name"], e["ros_type_name"], e["direction"]) for e in bridge(task)}
    _, scene = gz_task(task)
    assert {(topic, kind, "GZ_TO_ROS") for topic, kind in scene.subscriptions.items()} <= carried
    wanted = {(topic, "std_msgs/msg/Float64", "ROS_TO_GZ") for topic in scene.targets}
    assert wanted == {each for each in carried if each[2] == "ROS_TO_GZ"}
    assert ("/clock", "rosgraph_msgs/msg/Clock", "GZ_TO_ROS") in carried
    assert scene.trigger in scene.subscriptions


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_topic_of_a_contract_exists_with_its_type(name):
    terms, task_name = CONTRACTS[name], TASK_OF[name]
    task, _ = gz_task(task_name)
    carried = {
        e["ros_topic_name"]: e["ros_type_name"] for e in bridge(task_name) if e["direction"] == "GZ_TO_ROS"
    }
    published = {**task.streams, **{topic: kind for topic, kind in carried.items() if kind == IMAGE}}
    for spec in terms.observations:
        assert published[spec.topic] == spec.type
    for spec in terms.actions:
        assert task.commands[spec.topic] == spec.type
    assert terms.period_ns == task.control_period_ns


@pytest.mark.parametrize("name", TASKS)
def test_every_camera_of_the_embedded_simulator_is_carried(name):
    reference = make_task(
        name, cameras=Cameras(("camera",) if name == "drive" else ("overhead", "wrist", "side"))
    )
    shown = {topic for topic, kind in reference.streams.items() if kind == IMAGE}
    reference.close()
    assert shown == {e["ros_topic_name"] for e in bridge(name) if e["ros_type_name"] == IMAGE}


@pytest.mark.parametrize("name", TASKS)
def test_no_topic_differs_from_the_embedded_simulators(name):
    task, _ = gz_task(name)
    reference = make_task(name, cameras=Cameras())
    assert (task.streams, task.commands) == (reference.streams, reference.commands)
    reference.close()


def test_the_controllers_cannot_push_harder_than_the_joints_allow():
    root = ElementTree.parse(share.path("worlds", "push.sdf")).getroot()
    model = ElementTree.parse(share.path("models", "arm", "model.sdf")).getroot()
    effort = {
        j.get("name"): float(j.findtext("axis/limit/effort")) for j in model.iter("joint") if j.find("axis")
    }
    driven = {}
    for plugin in root.iter("plugin"):
        if plugin.get("name").endswith("JointPositionController"):
            driven[plugin.findtext("joint_name")] = float(plugin.findtext("cmd_max"))
            assert float(plugin.findtext("cmd_min")) == -float(plugin.findtext("cmd_max"))
    assert driven == effort
