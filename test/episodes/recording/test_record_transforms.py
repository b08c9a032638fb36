"""Recording transforms and a robot's own messages: what is recorded is observed offline as it was live."""

from dataclasses import replace

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.core.messages import make
from il_ros.core.synchroniser import Synchroniser
from il_ros.episodes import layout
from il_ros.episodes.arrays.replay import open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.recording.options import Label, RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder

MS, S = 1_000_000, 1_000_000_000
TF, TOOL = "tf2_msgs/msg/TFMessage", "acme_record_msgs/msg/Tool"
TWIST = "geometry_msgs/msg/Twist"
TEXT = f"""\
name: frames
rate_hz: 20
trigger: tool
observations:
  tool: {{topic: tool, type: {TOOL}, fields: [force], max_age_s: 0.5}}
  hand: {{topic: /tf, type: {TF}, frames: [base, hand], max_age_s: 0.5}}
actions:
  base: {{topic: cmd_vel, type: {TWIST}, names: [linear.x], limits: {{speed: 1}}}}
"""


def transform(parent: str, child: str, x: float, stamp_ns: int = 0) -> bytes:
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
    return messages.encode(TF, make(TF, transforms=[each]))


class Robot:
    """A recorder on a clock of its own, fed with what a robot publishes; every message goes live as well."""

    def __init__(self, root, prefix):
        folder = prefix / "share" / "acme_record_msgs" / "msg"
        folder.mkdir(parents=True)
        (folder / "Tool.msg").write_text("std_msgs/Header header\nfloat32 force\n")
        self.now = 100 * S
        self.contract = contract.parse(TEXT, "frames")
        options = RecordOptions(root=root, min_free_disk_bytes=0, pre_roll_s=0.2)
        self.recorder = EpisodeRecorder(options, self.contract, lambda: self.now)
        specs = contract_streams(
            self.contract, {topic: f"/{topic.lstrip('/')}" for topic in self.contract.topics}
        )
        self.streams = {
            spec.topic: self.recorder.add_stream(replace(spec, latched=spec.topic == "/tf_static"))
            for spec in specs
        }
        self.live = Synchroniser(self.contract.observations)
        self.seen: dict[int, np.ndarray] = {}

    def receive(self, topic: str, raw: bytes) -> None:
        """Give one message to the recorder and to the live synchroniser; the tool's starts a tick."""
        self.recorder.receive(self.streams[topic], raw)
        name = topic if topic.startswith("/tf") else topic.lstrip("/")
        if name in self.live.topics:
            stamp_ns = self.live.push(name, raw, self.now)
            if name == "tool":
                seen = self.live.sample(stamp_ns)
                self.seen[stamp_ns] = getattr(seen, "values", {}).get("hand")

    def run(self, ticks: int) -> None:
        """Publish: transforms at 100 Hz, stamped 2 ms before, and the tool at 20 Hz, stamped 13 ms before."""
        for _ in range(ticks * 5):
            self.now += 10 * MS
            self.receive("/tf", transform("arm", "hand", np.sin((self.now - 2 * MS) / S), self.now - 2 * MS))
            if self.now % (50 * MS) == 0:
                head = messages.header(self.now - 13 * MS)
                self.receive("/tool", messages.encode(TOOL, make(TOOL, header=head, force=2.0)))
                self.receive("/cmd_vel", messages.encode(TWIST, make(TWIST)))


@pytest.fixture
def robot(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ros"))
    return Robot(tmp_path / "episodes", tmp_path / "ros")


def recorded(robot: Robot) -> list[np.ndarray]:
    """Record an episode; return its observations as training reads them, which must be those that were seen live."""
    robot.run(4)
    robot.recorder.start(Label(task="grip"))
    robot.run(20)
    name = robot.recorder.stop()
    robot.recorder.close()
    folder = robot.recorder.options.root / name
    info = layout.load_info(folder)
    own = contract.parse(info.contract_text, "the bag's contract")
    frames = list(open_replay(open_bag(layout.bag_file(folder)), own, info))
    assert len(frames) >= 20
    for frame in frames:
        np.testing.assert_array_equal(frame.observation.values["hand"], robot.seen[frame.tick_ns])
        assert frame.observation.values["tool"].tolist() == [2.0]
    return [frame.observation.values["hand"] for frame in frames]


def test_transforms_are_observed_offline_as_they_were_live(robot):
    robot.receive("/tf_static", transform("world", "base", 5.0))
    robot.receive("/tf_static", transform("base", "arm", 1.0))
    found = recorded(robot)
    # between the transforms stamped 5 ms before and after the tick: 1 + sin, to the error of a line over 10 ms
    ticks_s = np.array(list(robot.seen)[-len(found) :]) / S
    np.testing.assert_allclose([pose[0] for pose in found], 1 + np.sin(ticks_s), atol=2e-5)


def test_static_transforms_of_two_publishers_begin_every_episode(robot):
    robot.receive("/tf_static", transform("world", "base", 5.0))
    robot.receive("/tf_static", transform("base", "arm", 3.0))
    robot.receive("/tf_static", transform("base", "arm", 1.0))
    first = recorded(robot)
    robot.now += 100 * S
    again = recorded(robot)
    for pose in (*first, *again):
        assert 0 <= pose[0] <= 2, "base -> arm is 1 m, as said last"


def test_a_missing_static_transform_keeps_an_episode_from_starting(robot):
    robot.run(4)
    with pytest.raises(Exception, match=r"hand \(/tf\): there is no frame 'base'; the frames are: arm, hand"):
        robot.recorder.start(Label(task="grip"))


def test_a_type_that_is_not_installed_is_refused_with_what_to_source(robot):
    spec = replace(robot.streams["/tool"].spec, topic="/other", type="acme_none_msgs/msg/Tool")
    with pytest.raises(ValueError, match="source the workspace that provides acme_none_msgs"):
        robot.recorder.add_stream(spec)
