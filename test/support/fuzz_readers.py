"""The readers of outside data: valid inputs, and the errors they declare; `fuzz_files` has those of files."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import control_definitions
import cv2
import numpy as np
from fuzz_files import bag_readers, policy_readers
from fuzz_graph import graph_readers
from fuzz_people import people_readers
from fuzz_remote import remote_readers
from fuzz_small_files import small_file_readers
from fuzzing import Reader, mutated_bytes, mutated_json, mutated_yaml

from il_ros.core import codecs, contract, messages
from il_ros.core.codecs import codec_of, codec_types
from il_ros.core.messages import MessageError
from il_ros.core.settings import SettingsError
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.episodes import layout
from il_ros.policies import lineage
from il_ros.policies.features import Inputs
from il_ros.records import decision, proposal, rating, statuses, trials
from il_ros.records.proposal import Proposal
from il_ros.training import recipe as recipes

ROOT = Path(__file__).resolve().parents[2]
GOLDEN, CONFIG = ROOT / "test" / "golden", ROOT / "config"
NAMES, PERIOD_NS = ("a", "b"), 50_000_000
STRING = "std_msgs/msg/String"


_RATING = (rating.RatingError,)
READERS = (
    "decision", "status", "rating", "episode.json", "trials", "contract", "recipe", "recipe change",
    "version.json", "decision message", "proposal", "JointState", "DynamicJointState", "Float64MultiArray",
    "Float32MultiArray", "PoseStamped", "Twist", "TwistStamped", "Imu", "WrenchStamped", "Odometry", "Range",
    "LaserScan", "Image", "CompressedImage", "String", "TFMessage", "Joy", "command JointState",
    "command Float64MultiArray", "command Float32MultiArray", "command JointTrajectory", "command JointJog",
    "command MultiDOFCommand", "command PoseStamped", "command Twist", "command TwistStamped",
    "command Float64", "transforms", "picture", "definition", "MCAP", "MCAP chunk", "recover", "db3",
    "metadata.yaml", "episode", "episode folder", "array cache", "array cache, compressed", "LeRobot data set",
    "LeRobot video", "robomimic", "checkpoint", "saved training", "remote answer", "remote request", "remote.yaml",
    "comparison table", "evaluation result", "unattended result", "URDF", "robot_description", "targets", "starts",
    "amendments", "tombstone", "kept examination", "import journal", "parameter file", "recipe of own steps",
    "change of own steps", "training plan", "token", "reward model",
    "gamepad", "keys", "console", "session", "output of a training", "drafted graph",
)  # fmt: skip


@cache
def all_readers(folder: Path) -> dict[str, Reader]:
    """Return the readers by name; those of files work in `folder`, which should be in memory."""
    made_here: list[Reader] = [
        *(
            *_texts(folder),
            *_messages(),
            *bag_readers(folder),
            *policy_readers(folder),
            *remote_readers(folder),
            *small_file_readers(folder),
            *people_readers(folder),
            *graph_readers(),
        )
    ]
    return {reader.name: reader for reader in made_here}


# ---- texts -----------------------------------------------------------------------------------------------


def _texts(folder: Path) -> Sequence[Reader]:
    info = layout.EpisodeInfo(
        "episode_000001", seed=3, topics={"a": "/a"}, stopped_ns=7, faults=("full",), complete=True,
        streams=(layout.StreamInfo("/a", STRING, rate_hz=2.0),), grade=layout.Grade("fair", ("idle",), idle_share=0.5),
    )  # fmt: skip
    told = [
        {"generation": 3, "mode": "dagger", "estop": "", "threshold": 0.5, "disagreement": None},
        {"wanted": True, "why": "uncertain"},
        {
            "episode": "e",
            "last": {"episode": "e", "outcome": "success", "grade": "fair", "reasons": ["idle"]},
        },
        {
            "event": "noticed",
            "labels": 3,
            "train_after": 9,
            "episodes": {"e": {"labelled": 1, "interventions": 0}},
        },
        {"event": "epoch", "epoch": 3, "epochs": None, "job": "training"},
        {"event": "damaged", "episode": "e", "reason": "cut"},
        {"version": "v1", "verdict": {"version": "v2", "state": "refused", "reason": "slow"}},
    ]
    contracts = [path.read_bytes() for path in sorted((CONFIG / "contracts").glob("*.yaml"))]
    contracts += [path.read_bytes() for path in sorted((GOLDEN / "config" / "contracts").glob("*.yaml"))]
    recipe_files = [path.read_bytes() for path in sorted((CONFIG / "training").glob("*.yaml"))]
    recipe_files = [raw for raw in recipe_files if b"\nimitation:" not in raw]  # read by another reader
    changes = tuple(f"{key}={value}".encode() for key, value in (
        ("epochs", "50"), ("policy.hidden", "[64, 64]"), ("training.keep", "best"), ("loss", "l1"), ("seconds", "1e3"),
    ))  # fmt: skip
    lineages = tuple(path.read_bytes() for path in sorted(GOLDEN.glob("*/*/version.json")))
    plain = recipes.Recipe()
    return [
        _text("decision", (decision.to_json(_decision()),), decision.from_json, (decision.DecisionError,)),
        _text("status", tuple(map(json.dumps, told)), _statuses, (statuses.StatusError,)),
        _text(
            "rating",
            (rating.to_json(rating.Rating(5, success="v1", probability=0.5)),),
            rating.from_json,
            _RATING,
        ),
        _text("episode.json", (info.to_json(),), layout.info_from_json, (layout.LayoutError,)),
        _text("trials", ((GOLDEN / "trials.json").read_text(),), trials.from_json, (trials.TrialsError,)),
        Reader("contract", tuple(contracts), mutated_yaml, _contract, (contract.ContractError,)),
        Reader("recipe", tuple(recipe_files), mutated_yaml, _recipe(folder), (SettingsError,)),
        Reader(
            "recipe change",
            changes,
            mutated_yaml,
            lambda raw: recipes.changed(plain, [_utf8(raw)]),
            (SettingsError,),
        ),
        Reader("version.json", lineages, mutated_json, _lineage(folder), (lineage.LineageError,)),
    ]


def _text(
    name: str, seeds: tuple[str, ...], read: Callable[[str], object], declared: tuple[type[Exception], ...]
) -> Reader:
    return Reader(name, tuple(map(str.encode, seeds)), mutated_json, lambda raw: read(_utf8(raw)), declared)


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _decision() -> decision.Decision:
    return decision.Decision(
        5, 6, "policy", "why", {"policy": (1.0, 2.0), "expert": None}, (1.0, 2.0), ("a speed",), 3, "v3", 0.5, 0.1,
        {"expert": "late"}, "dagger", 0.2,
    )  # fmt: skip


def _statuses(text: str) -> object:
    """Read a text as each topic's status; refused if all of them refuse it."""
    refused = None
    found = []
    for topic in ("SUPERVISOR", "REQUEST", "RECORDER", "TRAINING", "PROMOTION"):
        try:
            found.append(statuses.read(getattr(statuses, topic), text))
        except statuses.StatusError as error:
            refused = error
    if not found and refused is not None:
        raise refused
    return found


def _contract(raw: bytes) -> object:
    own = contract.parse(_utf8(raw), "contract.yaml")
    assert contract.parse(own.text, "again").hash == own.hash
    with contextlib.suppress(ValueError):  # a text is no input
        inputs = Inputs.of(own)
        assert len(inputs.groups) == len(inputs.units) == len(inputs.features_of)
    return own


def _recipe(folder: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        (folder / "recipe.yaml").write_bytes(raw)
        return recipes.load(folder / "recipe.yaml")

    return read


def _lineage(folder: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        run = folder / "lineage"
        run.mkdir(exist_ok=True)
        (run / lineage.FILE).write_bytes(raw)
        lineage.is_ours(run), lineage.recorded_bad(run), lineage.pardons_of(run), lineage.is_good(run)
        return lineage.read(run)

    return read


# ---- messages --------------------------------------------------------------------------------------------

_ACTIONS = "\nactions:\n  c: {topic: c, type: geometry_msgs/msg/Twist, limits: {speed: 1}}\n"
_EXTRA = {
    "sensor_msgs/msg/JointState": "names: [a, b], fields: [position, velocity, effort]",
    "std_msgs/msg/Float64MultiArray": "size: 3",
    "std_msgs/msg/Float32MultiArray": "size: 3",
    "control_msgs/msg/DynamicJointState": "names: [a, b]",
    "tf2_msgs/msg/TFMessage": "frames: [a, b]",
    "sensor_msgs/msg/Joy": "fields: ['axes[1]', 'buttons[0:2]', header.stamp.sec]",
    "sensor_msgs/msg/LaserScan": "size: 4",
    "sensor_msgs/msg/Image": "image: {width: 4, height: 2, fit: crop}",
    "sensor_msgs/msg/CompressedImage": "image: {width: 4, height: 2, fit: stretch}",
}


def _messages() -> Sequence[Reader]:
    chunk = np.array([[0.1, 0.2], [0.3, 0.4]])
    control_definitions.register()
    said = [Proposal("policy", 7 * 10**9, chunk, "v3", 4, 0.25), proposal.releasing("expert", 5, 2)]
    proposals = tuple(proposal.encode(each, NAMES, PERIOD_NS) for each in said)
    text = messages.encode(STRING, messages.make(STRING, data=decision.to_json(_decision())))
    return [
        Reader("decision message", (text,), mutated_bytes, decision.decode, (decision.DecisionError,)),
        Reader(
            "proposal", proposals, mutated_bytes, lambda raw: proposal.decode(raw, NAMES, PERIOD_NS),
            (proposal.ProposalError,),
        ),
        *(_observed(name) for name in codec_types() if codec_of(name).observed),
        _observed("sensor_msgs/msg/Joy"),
        *(_commanded(name) for name in codec_types() if codec_of(name).commanded),
        _commanded("std_msgs/msg/Float64"),
        _transforms(),
        _pictures(),
        Reader("definition", _definitions(), mutated_bytes, _register, (ValueError,)),
    ]  # fmt: skip


def _decoder(type_name: str, spec: object) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        messages.raw_stamp_ns(type_name, raw)
        return codecs.decode(spec, messages.decode(type_name, raw))  # type: ignore[arg-type]

    return read


def _observed(type_name: str) -> Reader:
    words = f"topic: s, type: {type_name}, max_age_s: 1, {_EXTRA.get(type_name, 'unit: x')}"
    spec = contract.parse(
        f"name: x\nrate_hz: 1\nobservations:\n  s: {{{words}}}{_ACTIONS}", "x"
    ).observations[0]
    raw = messages.encode(type_name, _filled(type_name))
    declared = (MessageError, codecs.CodecError)
    return Reader(type_name.rpartition("/")[2], (raw,), mutated_bytes, _decoder(type_name, spec), declared)


def _filled(type_name: str) -> messages.Message:
    """Return a message that the spec accepts."""
    fields = {
        "sensor_msgs/msg/JointState": {
            "name": ["b", "x", "a"],
            **{part: np.arange(3.0) for part in ("position", "velocity", "effort")},
        },
        "std_msgs/msg/Float64MultiArray": {"data": np.arange(3.0)},
        "std_msgs/msg/Float32MultiArray": {"data": np.arange(3.0, dtype=np.float32)},
        "sensor_msgs/msg/Joy": {"axes": np.ones(2, np.float32), "buttons": np.ones(2, np.int32)},
        "tf2_msgs/msg/TFMessage": {"transforms": [_transform()]},
        "control_msgs/msg/DynamicJointState": {
            "joint_names": ["b", "a"],
            "interface_values": [
                messages.make("control_msgs/msg/InterfaceValue", interface_names=["position"], values=np.ones(1))
            ] * 2,
        },
        "sensor_msgs/msg/LaserScan": {"ranges": np.ones(4, np.float32), "range_max": 9.0},
        "sensor_msgs/msg/Image": {
            "height": 3, "width": 5, "step": 15, "encoding": "rgb8", "data": np.zeros(45, np.uint8),
        },
        "sensor_msgs/msg/CompressedImage": {"format": "png", "data": _picture(".png", 8, 6)},
        "std_msgs/msg/String": {"data": "words"},
        "trajectory_msgs/msg/JointTrajectory": {
            "joint_names": ["a", "b"],
            "points": [messages.make("trajectory_msgs/msg/JointTrajectoryPoint", positions=np.ones(2))],
        },
    }.get(type_name, {})  # fmt: skip
    return messages.make(type_name, **fields)


def _transform() -> messages.Message:
    turn = messages.make("geometry_msgs/msg/Quaternion", w=1.0)
    return messages.make(
        "geometry_msgs/msg/TransformStamped",
        header=messages.header(5 * 10**9, "a"),
        child_frame_id="b",
        transform=messages.make("geometry_msgs/msg/Transform", rotation=turn),
    )


def _transforms() -> Reader:
    """Return the reader of moving and static transforms, as the synchroniser uses it."""
    spec = contract.parse(
        "name: x\nrate_hz: 1\nobservations:\n"
        f"  s: {{topic: tf, type: tf2_msgs/msg/TFMessage, frames: [a, b], max_age_s: 1}}{_ACTIONS}", "x",
    ).observations[0]  # fmt: skip
    raw = messages.encode("tf2_msgs/msg/TFMessage", _filled("tf2_msgs/msg/TFMessage"))

    def read(changed: bytes) -> object:
        for topic in spec.topics:
            synchroniser = Synchroniser([spec])
            synchroniser.push(topic, changed, 5 * 10**9)
            synchroniser.push(topic, raw, 6 * 10**9)
            seen = synchroniser.sample(6 * 10**9)
        if isinstance(seen, NoObservation):
            raise codecs.CodecError(seen.reasons[0])
        return seen

    return Reader("transforms", (raw,), mutated_bytes, read, (codecs.CodecError,))


def _commanded(type_name: str) -> Reader:
    names = "" if type_name.endswith(("Twist", "TwistStamped", "PoseStamped")) else "names: [a, b], "
    names = "names: [a], " if type_name.endswith("Float64") else names
    joints = "  j: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}\n"
    pose = "  p: {topic: p, type: geometry_msgs/msg/PoseStamped, max_age_s: 1}\n"
    reference = (
        ""
        if "Twist" in type_name or "Jog" in type_name
        else f"reference: {'p' if 'Pose' in type_name else 'j'}, "
    )
    words = f"topic: c, type: {type_name}, {names}{reference}limits: {{speed: 1}}"
    own = contract.parse(
        f"name: x\nrate_hz: 1\nobservations:\n{joints}{pose}actions:\n  c: {{{words}}}\n", "x"
    )
    raw = messages.encode(type_name, codecs.encode(own.actions[0], np.ones(own.action_size), 5 * 10**9))
    name = f"command {type_name.rpartition('/')[2]}"
    return Reader(
        name, (raw,), mutated_bytes, _decoder(type_name, own.actions[0]), (MessageError, codecs.CodecError)
    )


def _picture(suffix: str, width: int, height: int, kind: type = np.uint8) -> np.ndarray:  # type: ignore[type-arg]
    pixels = (
        np.random.default_rng(1).integers(0, 255, (height, width, 3 if kind is np.uint8 else 1)).astype(kind)
    )
    return cv2.imencode(suffix, pixels)[1].ravel()


def _pictures() -> Reader:
    transport = "compressedDepth"
    forms = (
        "jpeg",
        "16UC1; png",
        f"16UC1; {transport} png",
        f"32FC1; {transport} png",
        f"16UC1; {transport} rvl",
    )
    specs = [
        contract.parse(
            "name: x\nrate_hz: 1\nobservations:\n  c: {topic: s, type: sensor_msgs/msg/CompressedImage, max_age_s: 1, "
            f"image: {{width: 4, height: 2, encoding: {encoding}, fit: {fit}}}}}{_ACTIONS}", "x",
        ).observations[0]
        for encoding in ("rgb8", "mono8", "depth") for fit in ("crop", "stretch")
    ]  # fmt: skip
    progressive = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    seeds = [
        _picture(".jpg", 8, 6),
        _picture(".png", 8, 6),
        _picture(".png", 8, 6, np.uint16),
        progressive.ravel(),
        np.frombuffer(struct.pack("<iff", 0, 1.0, 0.0) + bytes(_picture(".png", 8, 6, np.uint16)), np.uint8),
        # RVL: 8x6 pixels, 48 zeros (three-bit groups 0 and 6, lowest first), then no others
        np.frombuffer(struct.pack("<iffIII", 0, 1.0, 0.0, 8, 6, 0x86000000), np.uint8),
    ]

    def read(raw: bytes) -> object:
        """Decode the picture in each way; refused if all ways refuse it."""
        found, refused = [], None
        for spec in specs:
            for form in forms:
                data = np.frombuffer(raw, np.uint8)
                message = messages.make("sensor_msgs/msg/CompressedImage", format=form, data=data)
                try:
                    frame = codecs.decode(spec, message)
                    assert (frame.shape, frame.dtype) == (spec.shape, spec.dtype)
                    found.append(frame)
                except codecs.CodecError as error:
                    refused = error
        if not found and refused is not None:
            raise refused
        return found

    return Reader("picture", tuple(map(bytes, seeds)), mutated_bytes, read, (codecs.CodecError,))


def _definitions() -> tuple[bytes, ...]:
    types = ("sensor_msgs/msg/JointState", "nav_msgs/msg/Odometry", "std_msgs/msg/Float64MultiArray")
    return tuple(messages.definition(name).encode() for name in types)


_registered = iter(range(1 << 62))


def _register(raw: bytes) -> object:
    name = f"foreign_msgs/msg/Odd{next(_registered)}"
    messages.register(_utf8(raw), name)
    return messages.make(name) if next(_registered) < 4000 else None


def memory_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, in memory where possible."""
    return tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None, prefix="fuzz")


def quietly() -> contextlib.AbstractContextManager[object]:
    """Discard what readers print."""
    return contextlib.redirect_stderr(io.StringIO())
