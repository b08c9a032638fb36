"""A base with a camera, driven by a constant policy: server, supervisor and recorder on a real graph."""

import numpy as np
from made_versions import constant_policy
from recorded import Recorded

from il_ros.core import contract, messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.policies import checkpoint
from il_ros.records import proposal
from il_ros.records.decision import from_json

CLOCK, IMAGE, JOINTS = "rosgraph_msgs/msg/Clock", "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
LONG_S = 60.0
IMPATIENT = {"silence_s": 0.1, "policy__timeout_s": 0.25}
PATIENT = {"silence_s": 5.0, "policy__timeout_s": 5.0, "policy__max_age_s": 5.0}  # also on a busy machine
PERIOD_NS = 50_000_000
AHEAD = (0.25,)
TEXT = """
name: base_with_camera
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [pan], max_age_s: 0.1}
  camera: {topic: camera/image_raw, type: sensor_msgs/msg/Image, image: {width: 8, height: 6},
           max_age_s: 0.12}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x], safe: zero,
         limits: {speed: 0.5}}
"""


class Robot:
    """Lockstep in simulated time: a frame, the joints, and the decision on them."""

    def __init__(self, graph, folder, supervisor, **server):
        self.graph, self.stamp_ns = graph, 1_000_000_000
        (folder / "contract.yaml").write_text(TEXT)
        self.contract = own = contract.load(folder / "contract.yaml")
        checkpoint.save(folder / "checkpoint", constant_policy(own, AHEAD, "v1", inputs=("joints",)))
        self.server = graph.start(PolicyServer, checkpoint=str(folder / "checkpoint"), **server)
        graph.start(
            DaggerSupervisor, contract=str(folder / "contract.yaml"), mode="policy", use_sim_time=True,
            discovery_s=0.1, **supervisor,
        )  # fmt: skip
        self.recorded = Recorded(graph, folder / "contract.yaml", folder / "episodes", use_sim_time=True)
        self._clock = graph.publisher("/clock", CLOCK)
        self._image = graph.publisher("camera/image_raw", IMAGE)
        self._joints = graph.publisher("joint_states", JOINTS)
        self._texts = graph.received("dagger_supervisor/decision", STRING, 100)
        self._proposals = graph.received("policy_server/proposal", proposal.TYPE, 100)
        self._decoded = []
        self._rng = np.random.default_rng(0)
        self.frame = None
        graph.until(
            lambda: self._clock.count() == 2 + server.get("use_sim_time", False), "subscriptions of /clock"
        )
        graph.until(lambda: self._image.count() == self._joints.count() == 2, "subscriptions")
        graph.until(self._begun, "the policy drives", LONG_S)
        graph.in_line(self._image, self._joints)

    def _begun(self):
        """Publish without waiting: at first a subscription may have another QoS than its publisher."""
        self._publish()
        self.graph.spin(0.05)
        return self._texts and self.decisions[-1].authority == "policy"

    @property
    def decisions(self):
        self._decoded += [from_json(message.data) for message in self._texts[len(self._decoded) :]]
        return self._decoded

    @property
    def proposed(self):
        """The stamps of the proposals."""
        return [messages.stamp_ns(message) for message in self._proposals if message.points]

    def noise(self):
        self.frame = self._rng.integers(0, 256, 8 * 6 * 3).astype(np.uint8)

    def look(self, stamp_ns):
        head = messages.header(stamp_ns)
        shape = {"width": 8, "height": 6, "encoding": "rgb8", "step": 24}
        self._image(messages.make(IMAGE, header=head, data=self.frame, **shape))

    def feel(self, stamp_ns, position=0.0):
        head = messages.header(stamp_ns)
        self._joints(messages.make(JOINTS, header=head, name=["pan"], position=np.array([position])))

    def tick(self, frozen=False):
        """Publish the sensors of the next tick; return its decision."""
        self._publish(frozen)
        self.graph.until(lambda: self.decisions[-1].stamp_ns >= self.stamp_ns, "its decision")
        return self.decisions[-1]

    def record(self):
        """Drive, and record from the next tick on; return the tick before it."""
        self.graph.until(lambda: self.tick().sent == AHEAD, "driving", LONG_S)
        self.recorded.start()
        return self.stamp_ns

    def _publish(self, frozen=False):
        self.stamp_ns += PERIOD_NS
        sec, nanosec = divmod(self.stamp_ns, 10**9)
        time = messages.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        self._clock(messages.make(CLOCK, clock=time))
        if not frozen:
            self.noise()
        self.look(self.stamp_ns)
        self.feel(self.stamp_ns)
