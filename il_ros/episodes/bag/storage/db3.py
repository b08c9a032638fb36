"""Read the SQLite files (.db3) of rosbag2, with or without their metadata.yaml."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_JOURNALS = ("-wal", "-journal")
_TOPICS = """\
SELECT t.name, t.type, t.serialization_format, COUNT(m.timestamp), MIN(m.timestamp), MAX(m.timestamp)
FROM topics t LEFT JOIN messages m ON m.topic_id = t.id GROUP BY t.id ORDER BY t.id"""

_HAS_DEFINITIONS = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'message_definitions'"
_DEFINITIONS = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"

Kinds = tuple[type | tuple[type, ...], ...]
_NULL = (int, type(None))


class Db3Topic(NamedTuple):
    """A topic of a file; the log times are None without a message."""

    name: str
    type: str
    encoding: str
    messages: int
    start_ns: int | None
    end_ns: int | None


def topics(path: Path) -> list[Db3Topic]:
    """Return the topics of a file; raises sqlite3.Error when it is damaged or not rosbag2's, OSError."""
    with _opened(path) as database:
        return [Db3Topic(*row) for row in _rows(database, _TOPICS, (str, str, str, int, _NULL, _NULL))]


def definitions(path: Path) -> dict[str, tuple[str, str]]:
    """Return the definition of each type, and its language; empty in files of rosbag2 before Iron.

    Raises sqlite3.Error when the file is damaged, OSError.
    """
    with _opened(path) as database:
        if not list(_rows(database, _HAS_DEFINITIONS, (str,))):
            return {}
        rows = _rows(database, _DEFINITIONS, (str, str, str))
        return {name: (text, language) for name, language, text in rows}


def messages(path: Path, wanted: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield topic, type, log time and data of the messages, or those of `wanted`, by log time.

    Raises sqlite3.Error when the file is damaged, OSError.
    """
    with _opened(path) as database:
        named = {
            number: (name, kind)
            for number, name, kind in _rows(database, "SELECT id, name, type FROM topics", (int, str, str))
            if wanted is None or name in wanted
        }
        chosen = ", ".join("?" * len(named))
        query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({chosen}) ORDER BY timestamp, id"
        for number, log_ns, data in _rows(database, query, (int, int, bytes), tuple(named)):
            yield *named[number], log_ns, data


def _rows(
    database: sqlite3.Connection, query: str, kinds: Kinds, chosen: tuple[int, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows; raises sqlite3.Error for a value of another type, which any column may hold."""
    try:
        for row in database.execute(query, chosen):
            for value, kind in zip(row, kinds, strict=True):
                if not isinstance(value, kind):
                    raise sqlite3.DataError(
                        f"a column holds a {type(value).__name__}, where another type belongs"
                    )
            yield row
    except UnicodeDecodeError as error:
        raise sqlite3.DataError(f"a text is not UTF-8: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading without changing it or its folder.

    A killed recorder may leave a journal beside it; SQLite applies it to a temporary copy.
    """
    journals = [path.with_name(path.name + suffix) for suffix in _JOURNALS]
    left = [each for each in journals if each.exists() and each.stat().st_size]
    with ExitStack() as opened:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        if left:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="il_ros_bag_")))
            for each in (path, *left):
                shutil.copy(each, folder)
            uri = (folder / path.name).as_uri()
        yield opened.enter_context(closing(sqlite3.connect(uri, uri=True)))
