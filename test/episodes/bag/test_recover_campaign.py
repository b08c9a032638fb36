"""Damage anywhere: every message in untouched bytes is kept, the result is readable, and nothing is lost for good.

What is untouched is computed with the `mcap` library from the intact file (test/support/damaged_bags.py).
"""

import tempfile
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest
from damaged_bags import FAMILIES, blocks, untouched
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.recover import recover
from il_ros.episodes.layout import EpisodeInfo, load_info

WITHOUT_CHECKSUM = {"without_chunks"}
"""Damaged data are not noticed there."""
NAME = "episode_000001"


@lru_cache
def intact(family: str) -> tuple[str, bytes]:
    """Return the name and content of a family's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = FAMILIES[family](Path(folder) / NAME)
        return path.name, path.read_bytes()


def counted(folder: Path) -> Counter:
    return Counter((item.topic, item.log_ns, item.raw) for item in open_bag(folder).messages())


def completes_a_message(kept: Counter, everything: Counter) -> bool:
    """Return whether the zeros after a cut are the end of a message, so that no byte of the file is left out."""
    return any(raw.endswith(b"\0") for _, _, raw in kept - everything)


def check(family: str, damaged: bytes, spans: list[tuple[int, int]], cut: int | None = None) -> None:
    """Recover a damaged file.

    `spans`: the bytes of the intact file that were changed or removed. `cut`: where it was cut off. No checksum
    covers the messages of a chunk before its cut, so these may be damaged.
    """
    name, raw = intact(family)
    found = blocks(raw)
    everything = Counter(untouched(found, []))
    needed = Counter(untouched(found, spans))
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / NAME
        folder.mkdir()
        (folder / name).write_bytes(damaged)
        EpisodeInfo(NAME, started_ns=5).save(folder, durable=False)
        done = recover(folder)
        kept = counted(folder)
        assert not needed - kept
        if family not in WITHOUT_CHECKSUM:
            unconfirmed = [block for block in found if cut is not None and block.start < cut < block.end]
            assert sum((kept - everything).values()) <= sum(len(block.messages) for block in unconfirmed)
        assert done.messages == sum(kept.values())
        with (folder / name).open("rb") as stream:
            assert sum(1 for _ in make_reader(stream, validate_crcs=True).iter_messages()) == done.messages
        cut_cleanly = cut is not None and (
            damaged == raw[: len(damaged)] or completes_a_message(kept, everything)
        )
        if len(everything - kept) > len(kept - everything) and not cut_cleanly:
            assert (folder / f"{name}.orig").read_bytes() == damaged
            assert done.spans or done.undeclared
        assert load_info(folder).complete
        names = {path.name for path in folder.iterdir()}
        assert names <= {name, f"{name}.orig", "metadata.yaml", "episode.json"}
        assert not recover(folder).changed


def places(least: int = 0):
    return st.floats(0, 1, exclude_max=True).map(lambda share: (least, share))


def place_in(raw: bytes, place: tuple[int, float]) -> int:
    least, share = place
    return least + int(share * (len(raw) - least))


few = settings(max_examples=15, deadline=None)
families = pytest.mark.parametrize("family", FAMILIES)


@families
@few
@given(place=places(), bit=st.integers(0, 7))
def test_one_wrong_bit(family: str, place: tuple[int, float], bit: int):
    raw = intact(family)[1]
    at = place_in(raw, place)
    check(family, raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :], [(at, at + 1)])


@families
@few
@given(wrong=st.lists(st.tuples(places(), st.integers(1, 255)), min_size=2, max_size=5))
def test_several_wrong_bytes(family: str, wrong):
    raw = intact(family)[1]
    data, spans = bytearray(raw), []
    for place, mask in wrong:
        at = place_in(raw, place)
        data[at] ^= mask
        spans.append((at, at + 1))
    if data != raw:
        check(family, bytes(data), spans)


@families
@few
@given(place=places(), size=st.sampled_from([64, 512, 4096]))
def test_a_page_of_zeros(family: str, place: tuple[int, float], size: int):
    raw = intact(family)[1]
    at = place_in(raw, place) // size * size
    part = raw[at : at + size]
    check(family, raw[:at] + bytes(len(part)) + raw[at + size :], [(at, at + size)])


@families
@few
@given(place=places(), size=st.sampled_from([64, 512, 4096]))
def test_a_page_that_is_missing(family: str, place: tuple[int, float], size: int):
    raw = intact(family)[1]
    at = place_in(raw, place) // size * size
    # Without checksums, a message that loses as many bytes as the next one has is seen as one with it.
    if at and not (family in WITHOUT_CHECKSUM and size == 64):
        check(family, raw[:at] + raw[at + size :], [(at, at + size)])


@families
@few
@given(place=places(least=20), zeros=st.sampled_from([0, 0, 10, 5000]))
def test_a_cut_and_a_tail_of_zeros(family: str, place: tuple[int, float], zeros: int):
    raw = intact(family)[1]
    at = place_in(raw, place)
    check(family, raw[:at] + bytes(zeros), [(at, len(raw))], cut=at)


@families
@few
@given(cut=places(least=20), place=places(least=20), bit=st.integers(0, 7))
def test_a_wrong_bit_in_a_bag_that_was_never_finished(family: str, cut, place, bit: int):
    raw = intact(family)[1]
    end = place_in(raw, cut)
    at = place_in(raw[:end], (20, place[1])) if end > 21 else 20
    if at < end:
        data = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 : end]
        check(family, data, [(at, at + 1), (end, len(raw))], cut=end)
