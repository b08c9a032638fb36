"""The pose of one frame in another, from transforms (tf2_msgs/msg/TFMessage).

A child frame has one parent, so that the frames form a tree; a pose is the product of the transforms on the way
through it. Each transform is interpolated between the messages before and after the tick, its rotation along the
shortest arc. Nothing is extrapolated: after its newest message a transform stays as it is, until it is older than the
contract allows, and before its oldest one there is none.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs.base import Codec, CodecError, Decoder, Selected
from il_ros.core.codecs.poses import IDENTITY, Pose, chained, interpolated, inverse
from il_ros.core.messages import Message
from il_ros.core.specs import POSE_PARTS, TRANSFORMS, ObservationSpec, Vector
from il_ros.core.strict_yaml import Section

ELEMENTS = tuple(f"{part}.{axis}" for part, axes in POSE_PARTS.items() for axis in axes)
LENGTH_TOLERANCE = 0.01
"""How far the length of a rotation's quaternion may be from 1."""
MOST_FRAMES = 2000
"""Frames of one tree; transforms of further ones are refused."""
MOST_WAITING = 200
"""Messages that are decoded together at the latest."""
_SHOWN = 20


class UntimelyTransformError(CodecError):
    """The frames are known, but a transform between them is not of the right time."""


class TransformsCodec(Codec):
    """tf2_msgs/msg/TFMessage: `fields` of the pose of `frames`. The synchroniser keeps the tree, `TransformTree`."""

    observed = True
    stamped = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `fields`: position, orientation, or numbers of them."""
        fields = section.texts("fields", required=False) or tuple(POSE_PARTS)
        elements: list[str] = []
        for part in fields:
            found = [name for name in ELEMENTS if part in (name, name.split(".")[0])]
            if not found:
                raise section.error(
                    "fields", f"'{part}' is not in a pose; of: {', '.join((*POSE_PARTS, *ELEMENTS))}"
                )
            elements += found
        if len(set(elements)) < len(elements):
            raise section.error("fields", f"{list(fields)} selects a number twice")
        return Selected((), fields, tuple(elements))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of one message, which must have all transforms between the frames."""

        def decode(message: Message) -> Vector:
            tree = TransformTree()
            tree.add(message, static=True)
            pose, _ = tree.pose(spec.frames[0], spec.frames[1], 0, math.inf)
            return pose[columns(spec)]

        return decode


def columns(spec: ObservationSpec) -> list[int]:
    """Return the places of the observation's numbers in a pose (7,)."""
    return [ELEMENTS.index(name) for name in spec.elements]


@dataclass
class _Edge:
    """The transforms of a child frame in its parent, by time; of a static one the last."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)


class TransformBuffer:
    """The messages of two topics of transforms; they are decoded when a pose is needed.

    `static`: the topic of static transforms. `by_arrival`: the transforms' time is that of their arrival.
    """

    def __init__(self, static: str, *, by_arrival: bool, history_ns: int, ahead_ns: int) -> None:
        self._static, self._by_arrival, self._ahead_ns = static, by_arrival, ahead_ns
        self._tree = TransformTree(history_ns)
        self._waiting: list[tuple[str, bytes, int]] = []
        self._refused: tuple[str, str] | None = None

    def push(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        """Add a serialised message."""
        self._waiting.append((topic, raw, arrival_ns))
        if len(self._waiting) > MOST_WAITING:
            self._grow()

    def value(self, spec: ObservationSpec, tick_ns: int) -> tuple[Vector, int | None]:
        """Return the numbers of an observation at a tick, and the stamp of the oldest transform that moves.

        Raises CodecError as `TransformTree.pose` does, and when the newest message is no message of transforms.
        """
        self._grow()
        if self._refused is not None:
            raise CodecError(self._refused[1])
        pose, stamp_ns = self._tree.pose(spec.frames[0], spec.frames[1], tick_ns, spec.max_age_s)
        return pose[columns(spec)], stamp_ns

    def clear(self) -> None:
        """Forget the moving transforms, for example after the clock was set back; static ones are sent only once."""
        self._grow()
        self._refused = None
        self._tree.clear()

    def _grow(self) -> None:
        waiting, self._waiting = self._waiting, []
        for topic, raw, arrival_ns in waiting:
            try:
                message = messages.decode(TRANSFORMS, raw)
            except messages.MessageError as error:
                self._refused = (topic, str(error))
                continue
            if self._refused is not None and self._refused[0] == topic:
                self._refused = None
            # at 0, simulated time has not begun
            latest_ns = arrival_ns + self._ahead_ns if arrival_ns > 0 and not self._by_arrival else None
            stamp_ns = arrival_ns if self._by_arrival else None
            self._tree.add(message, static=topic == self._static, latest_ns=latest_ns, arrival_ns=stamp_ns)


def transform_buffers(
    specs: Iterable[ObservationSpec], history_ns: int, ahead_ns: int
) -> dict[str, TransformBuffer]:
    """Return the buffer of each topic of transforms; observations of one topic share it."""
    buffers: dict[str, TransformBuffer] = {}
    for spec in specs:
        if spec.frames and spec.topic not in buffers:
            by_arrival = spec.stamp == "arrival"
            buffer = TransformBuffer(
                spec.static, by_arrival=by_arrival, history_ns=history_ns, ahead_ns=ahead_ns
            )
            buffers |= dict.fromkeys(spec.topics, buffer)
    return buffers


class TransformTree:
    """The transforms of the last `history_ns`, by child frame."""

    def __init__(self, history_ns: int = 1_000_000_000) -> None:
        self._history_ns = history_ns
        self._edges: dict[str, _Edge] = {}
        self._faults: dict[str, str] = {}

    def add(
        self, message: Message, *, static: bool, latest_ns: int | None = None, arrival_ns: int | None = None
    ) -> None:
        """Add the transforms of a message.

        `arrival_ns`: their time, if their stamps are not used. A transform that cannot be used, or is stamped after
        `latest_ns`, is a fault of its child frame until the next one that can: in the tree it would make all others
        old.
        """
        for each in message.transforms:
            parent, child = each.header.frame_id.lstrip("/"), each.child_frame_id.lstrip("/")
            stamp = each.header.stamp
            stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec if arrival_ns is None else arrival_ns
            try:
                if latest_ns is not None and not static and stamp_ns > latest_ns:
                    raise ValueError(
                        f"the transform '{parent}' -> '{child}' is stamped {(stamp_ns - latest_ns) / 1e9:.3f} s "
                        f"later than its arrival allows: the clock of its publisher is wrong"
                    )
                self._add(parent, child, _pose(each.transform), stamp_ns, static=static)
                self._faults.pop(child, None)
            except ValueError as error:
                if child in self._faults or len(self._faults) < MOST_FRAMES:
                    self._faults[child] = str(error)

    def pose(self, parent: str, child: str, tick_ns: int, max_age_s: float) -> tuple[Vector, int | None]:
        """Return the pose (7,) of `child` in `parent` at a tick, and the stamp of the oldest transform in it.

        The stamp is None if all are static. Raises CodecError when a frame is not known, the two are not connected,
        the transforms form a loop or a transform on the way is faulty, UntimelyTransformError when one is too old at
        the tick or begins after it.
        """
        stamps: list[int] = []
        below, above = (
            self._product(frames, tick_ns, max_age_s, stamps) for frames in self._ways(parent, child)
        )
        return np.array(chained(inverse(below), above)), min(stamps, default=None)

    def clear(self) -> None:
        """Forget the moving transforms, for example after the clock was set back; static ones stay."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static}
        self._faults.clear()

    def _add(self, parent: str, child: str, pose: Pose, stamp_ns: int, *, static: bool) -> None:
        if not parent or not child or parent == child:
            raise ValueError(f"a transform leads from frame '{parent}' to '{child}'")
        edge = self._edges.get(child)
        if (
            edge is not None
            and edge.parent != parent
            and (edge.static or static or abs(stamp_ns - edge.stamps_ns[-1]) <= self._history_ns)
        ):
            kind = "static transforms" if edge.static and static else "transforms"
            raise ValueError(f"'{child}' has two parents, '{edge.parent}' and '{parent}', in {kind}")
        if edge is not None and edge.static != static:
            raise ValueError(f"'{child}' has a static and a moving transform in '{parent}'")
        if edge is None or edge.parent != parent:
            if edge is None and len(self._edges) >= MOST_FRAMES:
                raise ValueError(f"'{child}' is beyond the {MOST_FRAMES} frames of a tree")
            edge = self._edges[child] = _Edge(parent, static)
        if static:
            edge.stamps_ns, edge.poses = [stamp_ns], [pose]
            return
        place = bisect_right(edge.stamps_ns, stamp_ns)
        if place and edge.stamps_ns[place - 1] == stamp_ns:
            return  # of two with one stamp the first is kept, as of other messages
        edge.stamps_ns.insert(place, stamp_ns)
        edge.poses.insert(place, pose)
        past = max(0, bisect_right(edge.stamps_ns, edge.stamps_ns[-1] - self._history_ns) - 1)
        del edge.stamps_ns[:past], edge.poses[:past]

    def _product(self, frames: Sequence[str], tick_ns: int, max_age_s: float, stamps: list[int]) -> Pose:
        """Return the pose of the first of `frames` in the parent of the last one."""
        pose = IDENTITY
        for frame in reversed(frames):
            pose = chained(pose, self._at(frame, tick_ns, max_age_s, stamps))
        return pose

    def _ways(self, parent: str, child: str) -> tuple[list[str], list[str]]:
        """Return the frames from `parent` and from `child` upwards to the first common one, which is left out."""
        known = {*self._edges, *(edge.parent for edge in self._edges.values())}
        for frame in (parent, child):
            if frame not in known:
                fault = self._faults.get(frame, "")
                there = ", ".join(sorted(known)[:_SHOWN]) or "none"
                more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
                raise CodecError(fault or f"there is no frame '{frame}'; the frames are: {there}{more}")
        above, below = self._ancestors(parent), self._ancestors(child)
        common = next((frame for frame in above if frame in below), None)
        if common is None:
            raise CodecError(
                f"'{parent}' and '{child}' are not connected: the first belongs to '{above[-1]}', the second to "
                f"'{below[-1]}'"
            )
        return above[: above.index(common)], below[: below.index(common)]

    def _ancestors(self, frame: str) -> list[str]:
        way = [frame]
        while (edge := self._edges.get(way[-1])) is not None:
            if edge.parent in way:
                loop = " -> ".join((*way[way.index(edge.parent) :], edge.parent))
                raise CodecError(f"the transforms form a loop: {loop}")
            way.append(edge.parent)
        return way

    def _at(self, frame: str, tick_ns: int, max_age_s: float, stamps: list[int]) -> Pose:
        if frame in self._faults:
            raise CodecError(self._faults[frame])
        edge = self._edges[frame]
        if edge.static:
            return edge.poses[0]
        place = bisect_right(edge.stamps_ns, tick_ns)
        what = f"the transform '{edge.parent}' -> '{frame}'"
        if place == 0:
            ahead_s = (edge.stamps_ns[0] - tick_ns) / 1e9
            raise UntimelyTransformError(
                f"{what} begins {ahead_s:.3f} s after the tick; nothing is extrapolated"
            )
        before_ns = edge.stamps_ns[place - 1]
        age_s = (tick_ns - before_ns) / 1e9
        if age_s > max_age_s:
            raise UntimelyTransformError(
                f"stale, {what} is {age_s:.3f} s old at the tick; max_age_s is {max_age_s:g}"
            )
        stamps.append(before_ns)
        if place == len(edge.stamps_ns) or before_ns == tick_ns:
            return edge.poses[place - 1]
        share = (tick_ns - before_ns) / (edge.stamps_ns[place] - before_ns)
        return interpolated(edge.poses[place - 1], edge.poses[place], share)


def _pose(transform: Message) -> Pose:
    """Return the pose of a Transform; raises ValueError when it is not finite or says no rotation."""
    move, turn = transform.translation, transform.rotation
    pose = tuple(float(each) for each in (move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w))
    for name, number in zip(ELEMENTS, pose, strict=True):
        if not math.isfinite(number):
            raise ValueError(f"a transform has {name} that is not finite")
    length = math.hypot(*pose[3:])
    if abs(length - 1) > LENGTH_TOLERANCE:
        raise ValueError(f"a transform has a quaternion of length {length:.3g}, which is no rotation")
    x, y, z, qx, qy, qz, qw = pose
    return (x, y, z, qx / length, qy / length, qz / length, qw / length)
