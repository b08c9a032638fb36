"""Find where a recorder's clock was set back: within a topic, log times then decrease in the order of the file.

Sorted by log time, messages from before and after such a step alternate, and observations and labels would be
mixed from two moments. Recorders write messages in the order of their arrival, which no clock changes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_messages import declared_in, unindexed_messages
from il_ros.episodes.bag.mcap_parse import PREFIX

TOLERANCE_NS = 50_000_000
"""A smaller decrease within a topic is no step: its publishers' messages may overtake each other."""

Times = NDArray[np.int64]
_INDEX_HEAD = 6  # channel, and the size of the list


@dataclass(frozen=True)
class Step:
    """The first step back of a recorder's clock.

    `back_ns`: its size. `before_ns`: the newest log time before it. `later`: sorted log times of the messages
    written after it, by topic. `shared`: how many messages before it have a log time that `later` has, too.
    """

    back_ns: int
    before_ns: int
    later: Mapping[str, Times]
    shared: Mapping[str, Mapping[int, int]]

    def filter(self) -> Filter:
        """Return a filter for one pass over the bag's messages."""
        return Filter(self)

    def count(self, topic: str) -> int:
        """Return the number of messages of `topic` after the step."""
        return len(self.later.get(topic, ()))

    def __str__(self) -> str:
        return f"the recorder's clock was set back by {self.back_ns / 1e9:.3f} s"


class Filter:
    """Whether messages, given by log time and in file order at equal times, were written before a step."""

    def __init__(self, step: Step):
        self._later = step.later
        self._left = {topic: dict(counts) for topic, counts in step.shared.items()}

    def __call__(self, topic: str, log_ns: int) -> bool:
        """Return whether the pass's next message, of `topic` and at `log_ns`, was written before the step."""
        times = self._later.get(topic)
        if times is None:
            return True
        place = int(np.searchsorted(times, log_ns))
        if place == len(times) or times[place] != log_ns:
            return True
        left = self._left[topic].get(log_ns, 0)
        if left:
            self._left[topic][log_ns] = left - 1
        return left > 0


def find(files: Sequence[Path]) -> Step | None:
    """Return the first step back in a bag's files, None without one; other files than .mcap and .db3 have none.

    Raises OSError, and other errors on a damaged file.
    """
    newest: dict[str, int] = {}
    blocks = (block for file in files for block in _blocks(file))
    before: list[dict[str, Times]] = []
    for block in blocks:
        found = _first_decrease(block, newest)
        if found is None:
            before.append({topic: times for topic, (_, times) in block.items()})
            continue
        place, back_ns = found
        parts = {topic: places < place for topic, (places, _) in block.items()}
        before.append({topic: block[topic][1][part] for topic, part in parts.items()})
        after = [{topic: block[topic][1][~part] for topic, part in parts.items()}]
        after += [{topic: times for topic, (_, times) in later.items()} for later in blocks]
        return _step(back_ns, before, after)
    return None


Block = dict[str, tuple[Times, Times]]
"""By topic: the messages' places in the file, increasing, and their log times."""


def _first_decrease(block: Block, newest: dict[str, int]) -> tuple[int, int] | None:
    """Return place and size of the first decrease, and update the `newest` time of each topic."""
    found: list[tuple[int, int]] = []
    for topic, (places, times) in block.items():
        if not len(times):
            continue
        highest = np.maximum.accumulate(np.concatenate([[newest.get(topic, times[0])], times]))
        back = highest[:-1] - times
        where = np.flatnonzero(back > TOLERANCE_NS)
        if len(where):
            found.append((int(places[where[0]]), int(back[where[0]])))
        newest[topic] = int(highest[-1])
    return min(found, default=None)


def _step(back_ns: int, before: Sequence[dict[str, Times]], after: Sequence[dict[str, Times]]) -> Step:
    earlier, later = _joined(before), {topic: np.sort(times) for topic, times in _joined(after).items()}
    shared = {}
    for topic, times in later.items():
        both = earlier.get(topic, times[:0])
        shared[topic] = dict(Counter(both[np.isin(both, times)].tolist()))
    before_ns = max((int(times.max()) for times in earlier.values() if len(times)), default=0)
    return Step(back_ns, before_ns, later, shared)


def _joined(parts: Sequence[dict[str, Times]]) -> dict[str, Times]:
    topics = {topic for part in parts for topic in part}
    return {
        topic: np.concatenate([part[topic] for part in parts if topic in part]) for topic in sorted(topics)
    }


# ---- log times in file order -----------------------------------------------------------------------------


def _blocks(file: Path) -> Iterator[Block]:
    if file.suffix == ".db3":
        yield _of_rows(_database_rows(file))
    elif file.suffix == ".mcap":
        from mcap.reader import SeekingReader

        with file.open("rb") as stream:
            summary = SeekingReader(stream).get_summary()
            indexes = [] if summary is None else summary.chunk_indexes
            if indexes and all(index.message_index_offsets for index in indexes):
                topics = {number: item.topic for number, item in declared_in(summary).items()}
                for index in sorted(indexes, key=lambda index: index.chunk_start_offset):
                    yield _indexed(stream, index, topics)
            else:
                messages = unindexed_messages(stream)
                yield _of_rows((item[0].topic, place, item[1]) for place, item in enumerate(messages))


def _indexed(stream: IO[bytes], index: Any, topics: Mapping[int, str]) -> Block:
    """Return the log times in a chunk, from the index after it."""
    pairs: dict[str, list[NDArray[np.uint64]]] = {}
    for number, offset in index.message_index_offsets.items():
        stream.seek(offset)
        opcode, length = PREFIX.unpack(stream.read(PREFIX.size))
        if opcode != mcap.MESSAGE_INDEX or length > index.message_index_length:
            raise ValueError(f"there is no index of messages at byte {offset}, where the file names one")
        entries = np.frombuffer(stream.read(length)[_INDEX_HEAD:], "<u8").reshape(-1, 2)
        pairs.setdefault(topics[number], []).append(entries)
    block: Block = {}
    for topic, found in pairs.items():
        entries = np.concatenate(found).astype(np.int64)
        entries = entries[np.argsort(entries[:, 1], kind="stable")]
        block[topic] = (entries[:, 1], entries[:, 0])
    return block


def _of_rows(rows: Iterator[tuple[str, int, int]]) -> Block:
    """Return the block of rows of topic, place and log time."""
    found: dict[str, list[tuple[int, int]]] = {}
    for topic, place, log_ns in rows:
        found.setdefault(topic, []).append((place, log_ns))
    arrays = {topic: np.array(pairs, np.uint64).astype(np.int64) for topic, pairs in found.items()}
    return {topic: (pairs[:, 0], pairs[:, 1]) for topic, pairs in arrays.items()}


def _database_rows(file: Path) -> Iterator[tuple[str, int, int]]:
    database = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        for row in database.execute(
            "SELECT topics.name, messages.id, messages.timestamp FROM messages "
            "JOIN topics ON messages.topic_id = topics.id ORDER BY messages.id"
        ):
            if [type(value) for value in row] != [str, int, int]:
                raise sqlite3.DataError("a column holds a value of another type")
            yield row
    except UnicodeDecodeError as error:
        raise sqlite3.DataError(f"a text is not UTF-8: {error}") from error
    finally:
        database.close()
