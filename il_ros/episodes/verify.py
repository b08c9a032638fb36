"""Verify an episode: its file, its description, every message, and its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.core.contract import Contract, ContractError
from il_ros.core.tables import counted
from il_ros.episodes.arrays.replay import Skipped, count_reasons, open_replay
from il_ros.episodes.bag import metadata
from il_ros.episodes.bag.reader import RECOVER, Bag, BagError, TopicSummary, open_bag, require_whole
from il_ros.episodes.bag.topics import MismatchError, resolve
from il_ros.episodes.catalogue import Entry, look
from il_ros.episodes.layout import METADATA_FILE, EpisodeInfo, StreamInfo
from il_ros.episodes.recording.grade import wrong_clock
from il_ros.episodes.recording.monitor import Histogram
from il_ros.episodes.recording.options import AHEAD_S
from il_ros.records.labelling import DRIVEN, NoLabel


@dataclass(frozen=True)
class VerifyReport:
    """The result of a verification. `errors` make an episode unusable, `warnings` do not.

    `ticks`: number of ticks. `frames`: number of ticks with a frame. Both are None when not checked.
    `unlabelled`: number of ticks with an observation but without a label, by kind.
    """

    folder: Path
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    messages: int = 0
    ticks: int | None = None
    frames: int | None = None
    unlabelled: Mapping[NoLabel, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the episode is usable."""
        return not self.errors


def verify(folder: Path, contract: Contract | None = None) -> VerifyReport:
    """Verify the episode in `folder` under `contract`; None: the contract it was recorded under.

    Decodes every message and makes every frame. Problems are reported, not raised.
    """
    entry = look(folder)
    if entry.state in ("incomplete", "broken"):
        return VerifyReport(folder, errors=(entry.reason,))
    warnings = [] if entry.state == "ready" else [f"{entry.state}: {entry.reason}"]
    try:
        require_whole(folder)
        bag = open_bag(folder)
        errors, stream_warnings, count, ages = _check_messages(bag)
        warnings += stream_warnings + _check_metadata(bag, count)
        report = VerifyReport(folder, tuple(errors), tuple(warnings), count)
        info_errors, info_warnings, own = _check_info(entry.info)
        report = _add(report, info_errors, info_warnings)
        used = own if contract is None else contract
        if used is None:
            return _add(report, [], ["it holds no contract, so frames were not checked; use --contract FILE"])
        report = _add(report, [], _check_clocks(bag, entry.info, used, ages))
        return _check_frames(report, bag, entry, used)
    except BagError as error:
        return VerifyReport(folder, (str(error),), tuple(warnings))


def _add(report: VerifyReport, errors: list[str], warnings: list[str]) -> VerifyReport:
    return replace(report, errors=(*report.errors, *errors), warnings=(*report.warnings, *warnings))


def _check_messages(bag: Bag) -> tuple[list[str], list[str], int, dict[str, Histogram]]:
    """Decode every message of a known type; return errors, warnings, the number of messages, and ages by topic."""
    counts: Counter[str] = Counter()
    backwards: Counter[str] = Counter()
    bad: dict[str, tuple[int, str]] = {}
    newest: dict[str, int] = {}
    ages: dict[str, Histogram] = {}
    types = {topic: _type_of(summary) for topic, summary in bag.topics.items()}
    for item in bag.messages():
        counts[item.topic] += 1
        known = types[item.topic]
        if known is None:
            continue
        try:
            stamp_ns = messages.stamp_ns(messages.decode(known, item.raw))
        except ValueError as error:
            bad[item.topic] = (bad.get(item.topic, (0, ""))[0] + 1, str(error))
            continue
        if stamp_ns is not None:
            backwards[item.topic] += stamp_ns < newest.get(item.topic, stamp_ns)
            newest[item.topic] = stamp_ns
            ages.setdefault(item.topic, Histogram()).add((item.log_ns - stamp_ns) / 1e9)
    errors = [
        f"{topic}: {counted(count, 'message')} cannot be decoded: {error}"
        for topic, (count, error) in bad.items()
    ]
    errors += [
        f"{topic}: the file's index says {counted(summary.messages, 'message')}, the file holds {counts[topic]}"
        for topic, summary in bag.topics.items()
        if counts[topic] != summary.messages
    ]
    warnings = [
        f"{topic}: its stamps went back {counted(count, 'time')}"
        for topic, count in backwards.items()
        if count
    ]
    return errors, warnings, counts.total(), ages


def _type_of(topic: TopicSummary) -> str | None:
    """Return the name under which a topic's type is known as the bag defines it, None if it is not."""
    if not messages.known(topic.type):
        return None
    if not messages.difference(topic.definition, topic.type, topic.language):
        return topic.type
    try:
        return messages.variant(topic.definition, topic.type, topic.language)
    except ValueError:
        return None


def _check_clocks(
    bag: Bag, info: EpisodeInfo | None, contract: Contract, ages: Mapping[str, Histogram]
) -> list[str]:
    """Return a warning for each observed stream whose driver's clock is ahead of the recorder's.

    In episodes that name their clock, the grade says it.
    """
    if info is not None and info.clock:
        return []
    topics = {
        spec.topic: resolve(spec.topic, bag, info) for spec in contract.observations if spec.stamp == "header"
    }
    streams = [
        StreamInfo(name, contract.topics[topic], age_p50_s=ages[name].quantile(0.5), required=True)
        for topic, name in topics.items()
        if name is not None and name in ages
    ]
    return [wrong for stream in streams if (wrong := wrong_clock(stream, AHEAD_S))]


def _check_metadata(bag: Bag, count: int) -> list[str]:
    """Check `metadata.yaml`; errors in it are warnings, because only other tools read it."""
    path = bag.path / METADATA_FILE
    try:
        listed = metadata.read(path)["rosbag2_bagfile_information"]["message_count"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path} can't be read, `ros2 bag` needs it ({error!r}); {RECOVER} {bag.path}"]
    if listed != count:
        return [f"{path} says {counted(listed, 'message')}, the bag has {count}; {RECOVER} {bag.path}"]
    return []


def _check_info(info: EpisodeInfo | None) -> tuple[list[str], list[str], Contract | None]:
    if info is None:
        return [], [], None
    errors = []
    warnings = [f"recorder: {fault}" for fault in info.faults]
    if info.grade is not None and info.grade.level != "good":
        warnings += [f"graded {info.grade.level}: {reason}" for reason in info.grade.reasons]
    if info.stopped_ns is not None and info.stopped_ns < info.started_ns:
        errors.append(
            f"episode.json: it stopped at {info.stopped_ns}, before it started at {info.started_ns}"
        )
    if not info.contract_text:
        return errors, warnings, None
    try:
        own = contracts.parse(info.contract_text, "the contract in episode.json")
    except ContractError as error:
        return [*errors, str(error)], warnings, None
    if own.hash != info.contract_hash:
        errors.append(
            f"episode.json: contract_hash is {info.contract_hash}, but the contract's text gives {own.hash}: "
            f"it was edited, or written by a version that hashes it differently"
        )
    return errors, warnings, own


def _check_frames(report: VerifyReport, bag: Bag, entry: Entry, contract: Contract) -> VerifyReport:
    skipped: list[Skipped] = []
    frames = 0
    try:
        # label by any driver: an episode without training labels may still be intact
        replay = open_replay(bag, contract, entry.info, DRIVEN)
        for item in replay:
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                frames += 1
    except MismatchError as error:
        return _add(report, [str(error)], [])
    ticks = [item for item in skipped if item.tick_ns is not None]
    records = [item for item in skipped if item.tick_ns is None]
    reasons = [
        f"{counted(count, 'tick')} without a frame: {reason}"
        for reason, count in count_reasons(ticks).items()
    ]
    reasons += [f"{count} left out: {reason}" for reason, count in count_reasons(records).items()]
    reasons += contract.expiry_warnings if replay.from_commands else ()
    unlabelled = Counter(item.missing for item in skipped if item.missing is not None)
    report = replace(report, ticks=frames + len(ticks), frames=frames, unlabelled=unlabelled)
    if frames == 0:
        return _add(report, ["no usable frame", *reasons], [])
    return _add(report, [], [*reasons, *replay.notes])
