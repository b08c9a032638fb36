"""Mutation of inputs, and the attempt to read them: each is read, or refused with a declared error, in bounded time.

An input is bytes. A mutator changes a seed by a `random.Random`, so a run can be repeated from its number.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import struct
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

LONGEST_S = 5.0
"""Time in which any input must be read or refused; an input in the suite's corpus takes milliseconds."""

Mutator = Callable[[Random, bytes, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Reader:
    """A reader of outside data. `read` returns, or raises one of `declared`; any other error is a crash.

    `seeds`: valid inputs, and those in `cut`, which are refused. `mutate(random, seed, seeds)`: a changed seed.
    """

    name: str
    seeds: tuple[bytes, ...]
    mutate: Mutator
    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    cut: tuple[bytes, ...] = ()
    longest_s: float = LONGEST_S


@dataclass(frozen=True)
class Crash:
    """An input that was neither read nor refused. `kind`: the error and its place in the package."""

    kind: str
    raw: bytes
    trace: str


@dataclass
class Counts:
    """The result of a run; `crashes` has the shortest input of each kind."""

    inputs: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    crashes: dict[str, Crash] = field(default_factory=dict)


class TooSlowError(BaseException):
    """Reading took longer than the reader's `longest_s`; not an Exception, so that no reader handles it."""


def attempt(reader: Reader, raw: bytes) -> bool | Crash:
    """Return whether an input was accepted (True) or refused with a declared error (False), or the crash."""
    try:
        with _limited(reader.longest_s):
            reader.read(raw)
        return True
    except reader.declared:
        return False
    except (Exception, TooSlowError) as error:
        return Crash(_kind(error), raw, "".join(traceback.format_exception(error)))


def run(reader: Reader, seconds: float, number: int = 0, most: int = 1 << 62) -> Counts:
    """Read mutated seeds for some time, at most `most` of them; equal numbers give equal inputs."""
    counts, end_s = Counts(), time.monotonic() + seconds
    random = Random(f"{reader.name} {number}")
    while counts.inputs < most and (now_s := time.monotonic()) < end_s:
        raw = reader.mutate(random, random.choice(reader.seeds), reader.seeds)
        found = attempt(reader, raw)
        counts.slowest_s = max(counts.slowest_s, time.monotonic() - now_s)
        counts.inputs += 1
        if not isinstance(found, Crash):
            counts.accepted += found
        elif found.kind not in counts.crashes or len(raw) < len(counts.crashes[found.kind].raw):
            counts.crashes[found.kind] = found
    return counts


def _kind(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/il_ros/" in f.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "test"
    return f"{type(error).__name__} in {place}"


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TooSlowError inside the context after some time."""
    before = signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _too_slow(_number: int, _frame: object) -> None:
    raise TooSlowError


# ---- mutators --------------------------------------------------------------------------------------------

_SIZES = (
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
    2**64 - 1,
)
_DOUBLES = (math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324)


def mutated_bytes(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return bytes with one to four edits: bits, numbers, spans, the end."""
    out = bytearray(raw)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(out) + 1)
        match random.randrange(9):
            case 0 if out:
                out[place % len(out)] ^= 1 << random.randrange(8)
            case 1 if out:
                out[place % len(out)] = random.randrange(256)
            case 2 | 3:
                width = random.choice((1, 2, 4, 8))
                out[place : place + width] = (random.choice(_SIZES) & (1 << 8 * width) - 1).to_bytes(
                    width, "little"
                )
            case 4:
                out[place : place + 8] = struct.pack("<d", random.choice(_DOUBLES))
            case 5:
                del out[place : place + random.choice((1, 4, 16, 200))]
            case 6:
                out[place:place] = random.choice(
                    (b"\0", b"\xff" * 4, random.randbytes(6), out[place : place + 40])
                )
            case 7:
                del out[place:]
            case _ if others:
                other = random.choice(others)
                start = random.randrange(len(other) + 1)
                out[place : place + 64] = other[start : start + random.choice((4, 16, 64))]
    return bytes(out)


ODD = (
    None, True, False, 0, -1, 1, 5, 2**31, 2**53, 2**63, 10**400, -0.0, 0.5, 1e308, 1e-320, math.nan, math.inf, "", "x",
    "future", "\ud800", "\x1b[2J", "a" * 300, "../../etc", "/dev/zero", [], {}, [[]], [None], [True], ["x"], [1.0],
    [10**400], [math.nan], {"": 0}, {"x": {"x": []}}, [0] * 50, "2026-11-29", "nan", "1e400", "\0",
)  # fmt: skip


def mutated_json(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return JSON with values replaced, removed, renamed or repeated; sometimes broken text."""
    if random.random() < 0.15:
        return mutated_bytes(random, raw, others)
    if random.random() < 0.02:
        return random.choice((b"[" * 100_000, b"1" * 10_000, b'{"a":' * 50_000, b"NaN", b"", b"\xff\xfe"))
    try:
        value = json.loads(raw)
    except ValueError:
        return mutated_bytes(random, raw, others)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _mutated(random, value)
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _mutated(random: Random, value: object) -> object:
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.05:
        return _changed_number(random, value) if random.random() < 0.3 else random.choice(ODD)
    copy: dict[str, object] | list[object] = dict(value) if isinstance(value, dict) else list(value)
    key: object = random.choice(list(copy)) if isinstance(copy, dict) else random.randrange(len(copy))
    match random.randrange(8):
        case 0:
            del copy[key]  # type: ignore[arg-type]
        case 1 if isinstance(copy, dict):
            copy[random.choice(("", "x", "\ud800", str(key) + " "))] = copy.pop(str(key))
        case 1 | 2 if isinstance(copy, list):
            copy.insert(int(str(key)), random.choice((copy[int(str(key))], *ODD)))
        case _:
            copy[key] = _mutated(random, copy[key])  # type: ignore[index, call-overload]
    return copy


def _changed_number(random: Random, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return random.choice(ODD)
    return random.choice(
        (-value, value + 1, value * 1000, value / 3 if abs(value) < 1e300 else 0, f"{value}"[:400])
    )


_WORD = re.compile(rb"[^\s:,\[\]{}]+")
_YAML = (
    b"", b"~", b"-1", b"0", b"1e400", b".nan", b".inf", b"-.inf", b"1" + b"0" * 400, b"9" * 5000, b"true", b"'", b'"',
    b"[", b"]", b"{", b"}", b"&a", b"*a", b"&a [*a]", b"!!int abc", b"!!python/object/apply:os.system [id]", b"=",
    b"!!binary x", b"!!set {a}", b"!!omap [a]", b"!!timestamp x", b"!!float x", b"<<: *a", b"? a", b"- ", b"|", b">",
    b"%TAG ! x", b"---", b"...", b"#", b"\t", b"\0", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1b[2J", b"[1, 2]",
    b"2026-11-29", b"2026-99-99", b"1:60:60", b"0x1F", b"0b2", b"0o9", b"a" * 300, b"[[[[[[[[[[[[[[[[[[[[[[",
    b"3000000000", b"{a: 1, a: 2}",
)  # fmt: skip


def mutated_yaml(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return YAML with words replaced by odd ones, and lines repeated, removed, moved or indented."""
    if random.random() < 0.15:
        return mutated_bytes(random, raw, others)
    for _ in range(random.choice((1, 1, 2, 3))):
        if random.random() < 0.7:
            words = list(_WORD.finditer(raw))
            if words:
                word = random.choice(words)
                odd = random.choice((*_YAML, random.choice(words)[0], word[0] + b"x"))
                raw = raw[: word.start()] + odd + raw[word.end() :]
            continue
        lines = raw.split(b"\n")
        place = random.randrange(len(lines))
        match random.randrange(4):
            case 0:
                del lines[place]
            case 1:
                lines.insert(random.randrange(len(lines) + 1), lines[place])
            case 2:
                lines[place] = b"  " * random.randrange(4) + lines[place].strip()
            case _:
                lines.insert(place, random.choice(_YAML))
        raw = b"\n".join(lines)
    return raw


_XML = (
    b"", b"<a>", b"</robot>", b"<joint/>", b"<!-- ", b"<![CDATA[", b"<!DOCTYPE a>", b"&lt;", b"&#0;", b"&x;",
    b"<?xml?>", b"nan", b"-1e308", b"1e400", b"1_0", b"0x1", b"revolute", b"planar", b"mimic", b"\xff", b"\0",
    b"'", b'"', b"a" * 300, b"inf", b"<link name='a'/>" * 40, b"<a>" * 3000,
)  # fmt: skip


def mutated_xml(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return XML with words and attribute values replaced by odd ones, and elements repeated, removed or moved."""
    if random.random() < 0.15:
        return mutated_bytes(random, raw, others)
    for _ in range(random.choice((1, 1, 2, 3))):
        parts = [part for part in re.split(rb"(<[^>]*>|[\w.+-]+)", raw) if part]
        place = random.randrange(len(parts)) if parts else 0
        match random.randrange(4):
            case 0:
                del parts[place : place + 1]
            case 1:
                parts.insert(random.randrange(len(parts) + 1), parts[place] if parts else b"x")
            case _:
                values = list(re.finditer(rb"[\w.+-]+", raw))
                if values:
                    chosen = random.choice(values)
                    odd = random.choice((*_XML, random.choice(values)[0]))
                    parts = [raw[: chosen.start()], odd, raw[chosen.end() :]]
        raw = b"".join(parts)
    return raw


def mutated_file(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return a `named` file with its content mutated by its suffix; sometimes without content."""
    name, _, content = raw.partition(b"\0")
    same = [other.partition(b"\0")[2] for other in others if other.startswith(name + b"\0")]
    if random.random() < 0.01:
        return name + b"\0"
    by_suffix = {
        b".json": mutated_json,
        b".yaml": mutated_yaml,
        b".mcap": mutated_mcap,
        b".safetensors": mutated_tensors,
    }
    mutate = next((how for suffix, how in by_suffix.items() if name.endswith(suffix)), mutated_bytes)
    return name + b"\0" + mutate(random, content, same)


def mutated_tensors(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return a safetensors file with its JSON header, its length or its data mutated."""
    if random.random() < 0.5 or len(raw) < 8:
        return mutated_bytes(random, raw, others)
    length = int.from_bytes(raw[:8], "little")
    header = mutated_json(random, raw[8 : 8 + length])
    return len(header).to_bytes(8, "little") + header + raw[8 + length :]


_MAGIC = b"\x89MCAP0\r\n"


def mutated_mcap(random: Random, raw: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return an MCAP file with records mutated, removed, repeated or exchanged; sometimes bytes."""
    if random.random() < 0.4:
        return mutated_bytes(random, raw, others)
    records, place = [], len(_MAGIC)
    while place + 9 <= len(raw) - len(_MAGIC):
        size = int.from_bytes(raw[place + 1 : place + 9], "little")
        records.append((raw[place : place + 1], raw[place + 9 : place + 9 + size]))
        place += 9 + size
    for _ in range(random.choice((1, 1, 2))):
        if not records:
            break
        number = random.randrange(len(records))
        opcode, content = records[number]
        match random.randrange(8):
            case 0:
                del records[number]
            case 1:
                records.insert(random.randrange(len(records) + 1), records[number])
            case 2:
                records[number] = (bytes([random.randrange(16)]), content)
            case 3:
                other = random.randrange(len(records))
                records[number], records[other] = records[other], records[number]
            case _:
                records[number] = (opcode, mutated_bytes(random, content))
    body = b"".join(opcode + len(content).to_bytes(8, "little") + content for opcode, content in records)
    return _MAGIC + body + (_MAGIC if random.random() < 0.9 else b"")


def named(name: str, content: bytes) -> bytes:
    """Return one input that is the file `name` of a folder with this content."""
    return name.encode() + b"\0" + content


def in_folder(folder: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of a folder in which the input is one file (`named`); the folder is as before afterwards."""

    def reading(raw: bytes) -> object:
        name, _, content = raw.partition(b"\0")
        path = folder / name.decode()
        before = path.read_bytes()
        try:
            path.write_bytes(content)
            return read(folder)
        finally:
            path.write_bytes(before)

    return reading
