"""A robot's own message types and transforms on a real graph: recorded, trained from, and driven with.

The messages are built here, as `colcon build` builds a package of the robot (`support/built_messages.py`).
"""

import os
import subprocess
import sys

import built_messages
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import contract, messages
from il_ros.core.messages import make
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import open_bag
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import from_json

pytestmark = pytest.mark.skipif(bool(built_messages.REASON), reason=built_messages.REASON or "-")

TOOL, DRIVE, TF = "acme_arm_msgs/msg/Tool", "acme_arm_msgs/msg/Drive", "tf2_msgs/msg/TFMessage"
CLOCK, STRING = "rosgraph_msgs/msg/Clock", "std_msgs/msg/String"
PERIOD_NS, MS = 50_000_000, 1_000_000
PATIENT_S = 30.0
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FILES = {
    "msg/Tool.msg": "std_msgs/Header header\nstring name\ngeometry_msgs/Wrench[] wrenches\nfloat32 level\n",
    "msg/Drive.msg": "std_msgs/Header header\nfloat64[] speeds\nbool enabled\n",
}
TEXT = f"""\
name: acme
rate_hz: 20
trigger: tool
observations:
  tool:
    topic: tool
    type: {TOOL}
    fields: ["wrenches[1].force.x", level]
    max_age_s: {PATIENT_S}
  hand:
    topic: /tf
    type: {TF}
    frames: [base, hand]
    fields: [position.x]
    max_age_s: {PATIENT_S}
actions:
  drive:
    topic: drive
    type: {DRIVE}
    fields: ["speeds[1]", enabled]
    names: [speed, enabled]
    quantity: velocity
    limits: {{speed: 2.0}}
"""


@pytest.fixture(scope="module")
def workspace():
    """Build and source the robot's messages, and those of transforms."""
    transforms = {"msg/TFMessage.msg": "geometry_msgs/TransformStamped[] transforms\n"}
    prefixes = [
        built_messages.built("acme_arm_msgs", FILES, uses=("geometry_msgs",)),
        built_messages.built("tf2_msgs", transforms, uses=("geometry_msgs",)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        built_messages.source(patch, *prefixes)
        yield


def transform(parent, child, x, stamp_ns=0):
    each = make(
        "geometry_msgs/msg/TransformStamped",
        header=messages.header(stamp_ns, parent),
        child_frame_id=child,
        transform=make(
            "geometry_msgs/msg/Transform",
            translation=make("geometry_msgs/msg/Vector3", x=x, y=0.0, z=0.0),
            rotation=make("geometry_msgs/msg/Quaternion", w=1.0),
        ),
    )
    return make(TF, transforms=[each])


def wanted(force: float, position: float) -> float:
    """Return the speed that the expert commands."""
    return 0.25 * force - 0.5 * position


class Robot:
    """A robot in simulated time: a force, a hand that moves, and a decision on each of its ticks.

    Between base and hand is an arm: 1 m of static transform, then the moving one, of which the middle between two
    messages is observed.
    """

    def __init__(self, graph, folder, mode):
        self.graph, self.stamp_ns = graph, 1_000_000_000
        file = folder / "contract.yaml"
        file.write_text(TEXT)
        self.contract = contract.load(file)
        patient = {
            f"{name}__{what}": PATIENT_S
            for name in ("policy", "expert")
            for what in ("timeout_s", "max_age_s")
        }
        given = {"contract": str(file), "use_sim_time": True}
        graph.start(DaggerSupervisor, mode=mode, discovery_s=0.1, silence_s=PATIENT_S, **patient, **given)
        self._clock = graph.publisher("/clock", CLOCK)
        self._static = graph.publisher("/tf_static", TF, LATCHED)
        self._tf = graph.publisher("/tf", TF)
        self._tool = graph.publisher("tool", TOOL)
        self._expert = graph.publisher("expert/proposal", proposal.TYPE)
        self.commands = graph.received("drive", DRIVE)
        self._texts = graph.received("dagger_supervisor/decision", STRING)
        self._static(transform("base", "arm", 1.0))

    def ready(self):
        graph = self.graph
        sensors = (self._tool, self._tf, self._static)
        graph.until(lambda: all(publish.count() for publish in (*sensors, self._clock)), "subscriptions")
        graph.in_line(*sensors)
        graph.until(self._expert.count, "the supervisor's subscription")

    def show(self, force, position):
        """Publish the sensors of the next tick; return its time."""
        self.stamp_ns += PERIOD_NS
        sec, nanosec = divmod(self.stamp_ns + 20 * MS, 10**9)
        self._clock(make(CLOCK, clock=make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)))
        self._tf(transform("arm", "hand", position - 1.1, self.stamp_ns - 10 * MS))
        self._tf(transform("arm", "hand", position - 0.9, self.stamp_ns + 10 * MS))
        self.graph.settle(2)
        wrenches = [
            make("geometry_msgs/msg/Wrench", force=make("geometry_msgs/msg/Vector3", x=x, y=9.0, z=9.0))
            for x in (7.0, force)
        ]
        head = messages.header(self.stamp_ns)
        self._tool(make(TOOL, header=head, name="gripper", wrenches=wrenches, level=0.5))
        return self.stamp_ns

    def propose(self, *values):
        proposed = proposal.Proposal("expert", self.stamp_ns, np.array([values]))
        self._expert(proposal.to_message(proposed, self.contract.action_names, self.contract.period_ns))

    def decided(self):
        """Wait for the decision on the tick, and return it."""

        def answer():
            found = [from_json(message.data) for message in self._texts[-3:]]
            return next((each for each in found if each.stamp_ns >= self.stamp_ns), None)

        return self.graph.until(answer, "the decision")


def scenes(count, seed):
    """Return forces and positions that the robot meets."""
    rng = np.random.default_rng(seed)
    return list(zip(rng.uniform(-2, 2, count), rng.uniform(-1, 1, count), strict=True))


def test_a_robots_own_messages_and_transforms_are_recorded_trained_from_and_driven_with(
    graph, workspace, tmp_path
):
    robot = Robot(graph, tmp_path, mode="expert")
    recorder = graph.start(
        Recorder,
        contract=str(tmp_path / "contract.yaml"),
        root=str(tmp_path / "episodes"),
        use_sim_time=True,
        min_free_bytes=0,
        extra_topics=[f"spare {DRIVE}"],
    )
    assert recorder.state == "active"
    robot.ready()

    def recording():
        robot.show(0.0, 0.0)
        robot.propose(0.0, 1.0)
        robot.decided()
        answer = graph.call("recorder/start", Trigger)
        return answer.message if answer.success else ""

    name = graph.until(
        recording, "a recording, which needs the static transform"
    )  # latched: it may come later
    shown = scenes(60, seed=1)
    for force, position in shown:
        robot.show(force, position)
        robot.propose(wanted(force, position), 1.0)
        robot.decided()
    graph.settle()
    assert graph.call("recorder/stop", Trigger).success
    folder = tmp_path / "episodes" / name
    graph.until(lambda: layout.load_info(folder).complete, "the episode on the disk")

    bag = open_bag(layout.bag_file(folder))
    assert {bag.topics[topic].type for topic in ("/tool", "/drive", "/tf", "/spare")} == {TOOL, DRIVE, TF}
    assert "float64[] speeds" in bag.topics["/drive"].definition
    (static,) = list(bag.messages({"/tf_static"}))
    assert messages.decode(TF, static.raw).transforms[0].child_frame_id == "arm"
    assert "float64[] speeds" in layout.load_info(folder).contract_text

    changes = [
        "training.validation=0.0",
        "training.epochs=150",
        "training.still_every=1",
        "policy.hidden=[32]",
    ]
    options = [part for change in changes for part in ("--set", change)]
    out = tmp_path / "policy"
    train_elsewhere(folder.parent, out, "--recipe", "bc_mlp", *options)

    server = graph.start(PolicyServer, checkpoint=str(out), use_sim_time=True)
    assert server.state == "active"
    mode = Parameter("mode", value="policy").to_parameter_msg()
    assert (
        graph.call("dagger_supervisor/set_parameters", SetParameters, parameters=[mode]).results[0].successful
    )
    graph.until(lambda: robot._tool.count() == 2, "the policy server's subscription")
    robot.ready()
    graph.until(lambda: driven(robot), "the policy drives")
    for force, position in scenes(10, seed=2):
        robot.show(force, position)
        decision = robot.decided()
        assert decision.authority == "policy"
        assert decision.sent[0] == pytest.approx(wanted(force, position), abs=0.1)
        graph.until(lambda at=decision.stamp_ns: messages.stamp_ns(robot.commands[-1]) >= at, "the command")
        command = robot.commands[-1]
        assert list(command.speeds) == [0.0, decision.sent[0]]
        assert command.enabled


def train_elsewhere(episodes, out, *options):
    """Train on a computer on which the robot's packages are not installed."""
    without = {
        name: value for name, value in os.environ.items() if name not in ("AMENT_PREFIX_PATH", "PYTHONPATH")
    }
    command = [sys.executable, "-m", "il_ros", "train", str(episodes), "--out", str(out), *options]
    done = subprocess.run(command, env=without, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def driven(robot):
    robot.show(0.0, 0.0)
    return robot.decided().authority == "policy"
