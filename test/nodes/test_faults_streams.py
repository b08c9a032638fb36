"""Sensors that lie: a camera that hangs, messages twice and in the wrong order, a clock that stops."""

import numpy as np
from made_versions import constant_policy
from recorded import Recorded

from il_ros import contract, messages
from il_ros.control import proposal
from il_ros.control.decision import NOBODY, from_json
from il_ros.nodes.dagger_supervisor import DaggerSupervisor
from il_ros.nodes.diagnostics import ERROR
from il_ros.nodes.policy_server import PolicyServer
from il_ros.policies import checkpoint

CLOCK, IMAGE, JOINTS = "rosgraph_msgs/msg/Clock", "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
LONG_S = 60.0
IMPATIENT = {"silence_s": 0.1, "policy__timeout_s": 0.25}
PATIENT = {"silence_s": 5.0, "policy__timeout_s": 5.0, "policy__max_age_s": 5.0}  # with a busy machine, too
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
    """Lockstep in simulated time: a frame, the joints, and the decision that answers them."""

    def __init__(self, graph, folder, supervisor, **server):
        self.graph, self.stamp_ns = graph, 1_000_000_000
        (folder / "contract.yaml").write_text(TEXT)
        own = contract.load(folder / "contract.yaml")
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
        self._heard = graph.received("policy_server/proposal", proposal.TYPE, 100)
        self._decoded = []
        self._rng = np.random.default_rng(0)
        self.frame = None
        graph.until(lambda: self._clock.count() == 2 + len(server), "subscriptions of /clock")
        graph.until(lambda: self._image.count() == self._joints.count() == 2, "subscriptions")
        graph.until(self._begun, "the policy drives", LONG_S)
        graph.in_line(self._image, self._joints)

    def _begun(self):
        """Publish without waiting: at first a subscription may not be in line with its publisher."""
        self._publish()
        self.graph.spin(0.05)
        return self._texts and self.decisions[-1].authority == "policy"

    @property
    def decisions(self):
        self._decoded += [from_json(message.data) for message in self._texts[len(self._decoded) :]]
        return self._decoded

    @property
    def proposed(self):
        """The ticks proposed for."""
        return [messages.stamp_ns(message) for message in self._heard if message.points]

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
        """Publish what is seen at the next tick; return its decision."""
        self._publish(frozen)
        self.graph.until(lambda: self.decisions[-1].stamp_ns >= self.stamp_ns, "its decision")
        return self.decisions[-1]

    def record(self):
        """Drive, and have everything recorded from the next tick on; return the tick before it."""
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


def test_a_camera_that_hangs_stops_the_robot_by_default_until_it_shows_something_new(graph, tmp_path):
    """The server is on the machine's clock, as on a robot; ticks have their stamps from the messages."""
    robot = Robot(graph, tmp_path, IMPATIENT)
    since_ns = robot.record()  # the frame of this tick stays
    for _ in range(18):
        last = robot.tick(frozen=True)
    # 0.5 s until it counts as frozen, then 0.25 s until the silent policy is out
    assert max(robot.proposed) - since_ns in (10 * PERIOD_NS, 11 * PERIOD_NS)  # joints may overtake a frame
    assert (last.authority, last.sent) == (NOBODY, (0.0,))
    status = robot.server.status()
    assert status.level == ERROR
    assert "camera (camera/image_raw): frozen, the same frame for" in status.message
    robot.graph.until(lambda: robot.tick().sent == AHEAD, "driving on", LONG_S)
    kept = robot.recorded.stop()
    by_tick = dict(zip([each.stamp_ns for each in kept.decisions], kept.account, strict=True))
    frozen = [by_tick[since_ns + k * PERIOD_NS] for k in range(1, 19)]
    seen = sum(policy is not None for _, policy, *_ in frozen)
    assert [policy for _, policy, *_ in frozen] == [AHEAD] * seen + [None] * (18 - seen)
    driven = sum(who == "policy" for who, *_ in frozen)
    assert [sent for _, _, _, sent, *_ in frozen] == [AHEAD] * driven + [(0.0,)] * (18 - driven)
    assert driven <= seen + 5  # the policy's time-out
    images = kept.messages["/camera/image_raw"][:18]
    assert len({each.data.tobytes() for each in images}) == 1  # what was seen, however useless
    assert kept.stamps("/camera/image_raw")[:18] == [since_ns + k * PERIOD_NS for k in range(1, 19)]
    assert kept.account[-1][:4] == ("policy", AHEAD, None, AHEAD)


def test_a_rendered_scene_at_rest_is_no_frozen_camera_in_simulated_time(graph, tmp_path):
    robot = Robot(graph, tmp_path, PATIENT, use_sim_time=True)
    assert {robot.tick(frozen=True).sent for _ in range(30)} == {AHEAD}


def test_messages_twice_and_in_the_wrong_order_change_no_answer_and_are_recorded(graph, tmp_path):
    robot = Robot(graph, tmp_path, PATIENT)
    begun, published = robot.record(), []
    for _ in range(20):
        robot.tick()
        stamps = (0, 0, -3, -1)  # this tick again, and older ones after it
        for back in stamps:
            robot.look(robot.stamp_ns + back * PERIOD_NS)
            robot.feel(robot.stamp_ns + back * PERIOD_NS, position=9.0)
        published += [robot.stamp_ns + back * PERIOD_NS for back in (0, *stamps)]
    robot.tick()
    published.append(robot.stamp_ns)
    kept = robot.recorded.stop()
    wanted = [begun + k * PERIOD_NS for k in range(1, 22)]
    assert list(kept.proposed["policy"]) == wanted
    assert [(each.stamp_ns, each.sent) for each in kept.decisions] == [(stamp, AHEAD) for stamp in wanted]
    assert kept.stamps("/joint_states") == kept.stamps("/camera/image_raw") == published


def test_a_clock_that_stops_stops_the_robot_and_when_it_goes_on_so_does_the_session(graph, tmp_path):
    robot = Robot(graph, tmp_path, IMPATIENT, use_sim_time=True)
    begun = robot.record()
    graph.until(lambda: robot.tick().sent == AHEAD, "driving", LONG_S)
    stopped = graph.until(lambda: (d := robot.decisions[-1]).authority == NOBODY and d, "the stop", LONG_S)
    assert stopped.sent == (0.0,)
    assert stopped.sent_ns == robot.stamp_ns  # by the steady clock: the other one stands still
    assert "policy silent for" in stopped.reason
    graph.until(lambda: robot.tick().sent == AHEAD, "driving on", LONG_S)
    kept = robot.recorded.stop()
    assert stopped in kept.decisions
    assert kept.account[-1][:4] == ("policy", AHEAD, None, AHEAD)
    ticks = range(begun + PERIOD_NS, robot.stamp_ns + 1, PERIOD_NS)
    assert set(ticks) <= {each.stamp_ns for each in kept.decisions}
    assert kept.stamps("/joint_states") == list(ticks)
