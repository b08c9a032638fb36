"""Cut a long bag with many demonstrations into episodes: by a topic, by a button, or at given times.

The messages are copied as they are, with their log times. Messages of the second before a demonstration are copied
too (pre-roll: they serve its first observation and are no frames). Of topics that are sent once (LATCHED), the newest
message from before, of transforms each message, is copied to its beginning, because each episode is read alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.core.contract import Contract, ContractError
from il_ros.core.messages import MessageError
from il_ros.core.tables import counted
from il_ros.episodes import layout
from il_ros.episodes.bag.opened import Bag, BagError, BagMessage
from il_ros.episodes.bag.topics import CONTRACT_RECORD, DECISION_SUFFIX, find_streams, resolve
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import scan
from il_ros.episodes.layout import EpisodeInfo
from il_ros.episodes.recording.pre_roll import Latched
from il_ros.records.outcomes import UNMARKED

BOOL, JOY = "std_msgs/msg/Bool", "sensor_msgs/msg/Joy"
LATCHED = ("tf_static", "robot_description")
ORIGIN = "il_ros.cut"
"""Name of the bag's record that says what the episode was cut from."""


class CutError(ValueError):
    """A bag that can't be cut as asked for; the message names topic, time and value."""


@dataclass(frozen=True)
class Demonstration:
    """One demonstration in a bag, in log time. Raises CutError when it does not end after its start."""

    start_ns: int
    stop_ns: int

    def __post_init__(self) -> None:
        if self.stop_ns <= self.start_ns:
            raise CutError(
                f"a demonstration from {self.start_ns / 1e9:.3f} to {self.stop_ns / 1e9:.3f} s must end after its start"
            )


@dataclass(frozen=True)
class CutOptions:
    """What each episode is: `contract` under which it is read, task, instruction, operator, outcome.

    `contract` None: the one that the bag was recorded under, if any.
    """

    contract: Contract | None = None
    task: str = ""
    instruction: str = ""
    operator: str = ""
    outcome: str = UNMARKED
    pre_roll_s: float = 1.0


@dataclass
class CutReport:
    """The new episodes, those that an earlier cut had written, and sentences about what was noticed."""

    folders: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)
    messages: int = 0
    notes: list[str] = field(default_factory=list)


def by_times(bag: Bag, spans_s: Sequence[tuple[float, float]]) -> list[Demonstration]:
    """Return the demonstrations at times in seconds after the bag's first message; raises CutError on others."""
    length_s = bag.duration_s
    for begin, end in spans_s:
        if begin >= end:
            raise CutError(f"{bag.path}: {begin:g}-{end:g} s must end after its start")
        if not 0 <= begin < end <= length_s + 1e-6:
            raise CutError(f"{bag.path}: {begin:g}-{end:g} s is not within it; it lasts {length_s:.3f} s")
    return [
        Demonstration(bag.start_ns + round(begin * 1e9), bag.start_ns + round(end * 1e9))
        for begin, end in spans_s
    ]


def by_flag(bag: Bag, topic: str) -> tuple[list[Demonstration], list[str]]:
    """Return the demonstrations during which the last message on a Bool topic is true, and notes.

    Raises CutError when the bag has no such topic, or it is never true.
    """
    return _while_on(bag, topic, BOOL, ((item.log_ns, _is_true(item)) for item in _on(bag, topic, BOOL)))


def by_button(bag: Bag, topic: str, button: int) -> tuple[list[Demonstration], list[str]]:
    """Return the demonstrations between presses of a gamepad's button: one begins it, the next ends it; and notes.

    Raises CutError when the bag has no such topic (sensor_msgs/Joy), no such button, or it is never pressed.
    """

    def toggled() -> Iterable[tuple[int, bool]]:
        pressed = on = False
        for item in _on(bag, topic, JOY):
            buttons = _decoded(item).buttons
            if not 0 <= button < len(buttons):
                raise CutError(
                    f"{bag.path}: {topic} has {counted(len(buttons), 'button')}; there is no button {button}"
                )
            if buttons[button] and not pressed:
                on = not on
            pressed = bool(buttons[button])
            yield item.log_ns, on

    return _while_on(bag, f"button {button} of {topic}", JOY, toggled())


def cut(
    bag: Bag,
    root: Path,
    demonstrations: Sequence[Demonstration],
    options: CutOptions | None = None,
    progress: Callable[[Iterable[BagMessage], int], Iterable[BagMessage]] = lambda items, total: items,
) -> CutReport:
    """Write each demonstration as an episode under `root`; the bag is read once and stays as it is.

    A demonstration that is an episode under `root` already is not written again: `there` has it. One without any
    message is left out with a note. An episode whose writing is interrupted is never complete.
    Raises BagError when the bag is damaged, CutError when a message type is unknown or the bag's own contract can't be
    read, MismatchError when it does not hold what the contract of `options` needs, OSError.
    """
    options = CutOptions() if options is None else options
    if options.contract is None:
        options = replace(options, contract=_own_contract(bag))
    else:
        find_streams(options.contract, bag, None)
    report = CutReport()
    unknown = [name for name, topic in bag.topics.items() if not messages.known(topic.type)]
    if unknown:
        raise CutError(
            f"{bag.path}: {unknown[0]} has type {bag.topics[unknown[0]].type}, whose definition is neither known nor "
            "in the bag; build its package, or record the bag as MCAP"
        )
    before_ns = round(options.pre_roll_s * 1e9)
    waiting = _not_there(bag, root, demonstrations, report)
    if not waiting:
        return report
    open_episodes: list[_Episode] = []
    latched: Latched[BagMessage] = Latched()
    try:
        for item in progress(bag.before_step(None), bag.messages_total):
            for episode in [each for each in open_episodes if item.log_ns > each.demonstration.stop_ns]:
                open_episodes.remove(episode)
                episode.end(report)
            while waiting and item.log_ns >= waiting[0].start_ns - before_ns:
                chosen = waiting.pop(0)
                if item.log_ns > chosen.stop_ns:
                    report.notes.append(f"no message in {_words(bag, chosen)}: left out")
                    continue
                open_episodes.append(_Episode(bag, root, chosen, options))
                for known in latched:
                    open_episodes[-1].add(known, max(known.log_ns, chosen.start_ns - before_ns))
            if item.topic.endswith(LATCHED):
                latched.keep(item.topic, item.type, item.raw, item)
            for episode in open_episodes:
                episode.add(item, item.log_ns)
        for episode in list(open_episodes):
            open_episodes.remove(episode)
            episode.end(report)
    finally:
        for episode in open_episodes:
            episode.abandon()
    report.notes += [f"no message in {_words(bag, each)}: left out" for each in waiting]
    if bag.step is not None:
        report.notes.append(f"{bag.step}; what was recorded after that is not used")
    return report


def _not_there(
    bag: Bag, root: Path, demonstrations: Sequence[Demonstration], report: CutReport
) -> list[Demonstration]:
    """Return the demonstrations, by time, that no earlier cut has written; the others go into the report."""
    written = {
        (entry.info.stop_reason, entry.info.started_ns, entry.info.stopped_ns): entry.folder
        for entry in (scan(root).entries if root.is_dir() else ())
        if entry.info is not None and entry.info.complete
    }
    found = []
    for each in sorted(demonstrations, key=lambda each: each.start_ns):
        folder = written.get((_origin(bag, each), each.start_ns, each.stop_ns))
        if folder is None:
            found.append(each)
            continue
        report.there.append(folder)
        report.notes.append(f"{_words(bag, each)} is there already: {folder.name}; delete it to cut it again")
    return found


def _own_contract(bag: Bag) -> Contract | None:
    """Return the contract that the bag was recorded under; None: it holds none."""
    text = bag.metadata.get(CONTRACT_RECORD, {}).get("text", "")
    try:
        return contracts.parse(text, f"{bag.path} (its contract)") if text else None
    except ContractError as error:
        raise CutError(f"{error}; give a contract with --contract FILE") from error


class _Episode:
    """An episode that is being written."""

    def __init__(self, bag: Bag, root: Path, demonstration: Demonstration, options: CutOptions):
        self.demonstration = demonstration
        self._folder = layout.claim_next(root)
        contract = options.contract
        names = {} if contract is None else {topic: resolve(topic, bag, None) for topic in contract.topics}
        decisions = [name for name in bag.topics if name.endswith(DECISION_SUFFIX)]
        self._info = EpisodeInfo(
            name=self._folder.name,
            outcome=options.outcome,
            task=options.task,
            operator=options.operator,
            instruction=options.instruction,
            contract_name="" if contract is None else contract.name,
            contract_hash="" if contract is None else contract.hash,
            contract_text="" if contract is None else contract.text,
            topics={topic: name for topic, name in names.items() if name is not None},
            decision_topic=decisions[0] if len(decisions) == 1 else "",
            started_ns=demonstration.start_ns,
            stopped_ns=demonstration.stop_ns,
            recorded_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            stop_reason=_origin(bag, demonstration),
        )
        self._info.save(self._folder)
        self._bag = BagWriter(self._folder, compression="zstd")
        self._streams = {name: self._bag.add_stream(name, topic.type) for name, topic in bag.topics.items()}
        for name, values in bag.metadata.items():
            if name != "rosbag2":  # rosbag2's own summary of the whole bag
                self._bag.add_metadata(name, values)
        self._bag.add_metadata(ORIGIN, {"path": str(bag.path), "span": _words(bag, demonstration)})

    def add(self, item: BagMessage, log_ns: int) -> None:
        self._bag.write(self._streams[item.topic], log_ns, item.raw)

    def end(self, report: CutReport) -> None:
        self._bag.close()
        replace(self._info, complete=True).save(self._folder)
        report.folders.append(self._folder)
        report.messages += sum(self._bag.written.values())

    def abandon(self) -> None:
        """Close the bag; the episode stays incomplete."""
        self._bag.close()


def _while_on(
    bag: Bag, what: str, kind: str, states: Iterable[tuple[int, bool]]
) -> tuple[list[Demonstration], list[str]]:
    found: list[Demonstration] = []
    notes: list[str] = []
    begun: int | None = None
    for log_ns, on in states:
        if on and begun is None:
            begun = log_ns
        elif not on and begun is not None:
            if log_ns > begun:
                found.append(Demonstration(begun, log_ns))
            begun = None
    if begun is not None and bag.end_ns > begun:
        found.append(Demonstration(begun, bag.end_ns))
        notes.append(f"the last demonstration was not ended by {what}: it ends with the bag")
    if not found:
        raise CutError(f"{bag.path}: {what} ({kind}) begins no demonstration")
    return found, notes


def _on(bag: Bag, topic: str, kind: str) -> Iterable[BagMessage]:
    """Return the messages of a topic; raises CutError unless it is in the bag, with this type."""
    if topic not in bag.topics or bag.topics[topic].type != kind:
        has = ", ".join(
            f"{name} ({each.type})" for name, each in sorted(bag.topics.items()) if each.type == kind
        )
        wrong = f"is {bag.topics[topic].type}" if topic in bag.topics else "is not in it"
        raise CutError(f"{bag.path}: {topic} {wrong}; a topic of {kind} is needed: {has or 'it has none'}")
    return bag.before_step({topic})


def _is_true(item: BagMessage) -> bool:
    return bool(_decoded(item).data)


def _decoded(item: BagMessage) -> messages.Message:
    try:
        return messages.decode(item.type, item.raw)
    except MessageError as error:
        raise BagError(f"{item.topic} at {item.log_ns / 1e9:.3f} s can't be read: {error}") from error


def _origin(bag: Bag, demonstration: Demonstration) -> str:
    return f"cut from {bag.path.name}, {_words(bag, demonstration)}"


def _words(bag: Bag, demonstration: Demonstration) -> str:
    begin, end = ((time - bag.start_ns) / 1e9 for time in (demonstration.start_ns, demonstration.stop_ns))
    return f"{begin:.3f}-{end:.3f} s"
