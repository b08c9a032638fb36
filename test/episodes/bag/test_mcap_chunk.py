"""What a chunk states is the limit of unpacking it."""

import tracemalloc
import zlib

import lz4.frame
import pytest
import zstandard

from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import (
    LARGEST_BYTES,
    ChunkError,
    read_head,
    records_in,
    unpack,
    unpack_part,
)
from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.bag.recover import recover

ZEROS = 1 << 28


def zstd(data: bytes, stated: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=stated).compress(data)


BOMBS = {
    "zstd": zstd(bytes(ZEROS)),
    "zstd without size": zstd(bytes(ZEROS), stated=False),
    "lz4": lz4.frame.compress(bytes(ZEROS)),
}


def chunk(size: int, crc: int, name: str, stored: bytes) -> bytes:
    return mcap.chunk_head(0, 0, size, crc, name.split()[0], len(stored)) + stored


@pytest.fixture
def measured():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < ZEROS / 10


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_unpacked(name: str, measured):
    content = memoryview(chunk(1000, 0, name, BOMBS[name]))[9:]
    head = read_head(content)
    with pytest.raises(ChunkError, match="states 1000 bytes"):
        unpack(head, content[head.bytes :])


def test_a_chunk_that_states_more_than_the_limit_is_refused():
    content = memoryview(chunk(LARGEST_BYTES + 1, 0, "zstd", zstd(b"x")))[9:]
    head = read_head(content)
    with pytest.raises(ChunkError, match="at most are unpacked"):
        unpack(head, content[head.bytes :])


@pytest.mark.parametrize("name", BOMBS)
def test_recover_and_open_bag_refuse_a_bomb(tmp_path, name: str, measured):
    path = tmp_path / "data_0.mcap"
    start = mcap.MAGIC + mcap.header("x")
    bomb = chunk(1000, 0, name, BOMBS[name])
    path.write_bytes(start + bomb + mcap.data_end() + mcap.footer(0, 0) + mcap.MAGIC)
    with pytest.raises(BagError, match="states 1000 bytes"):
        open_bag(tmp_path)
    done = recover(tmp_path)
    assert (done.messages, done.damaged_chunks) == (0, 1)
    assert (tmp_path / "data_0.mcap.orig").exists()


def test_an_indexed_bomb_is_refused(tmp_path, measured):
    path = tmp_path / "data_0.mcap"
    start = mcap.MAGIC + mcap.header("x")
    bomb = chunk(1000, 0, "zstd", BOMBS["zstd"])
    declared = [mcap.schema(1, "std_msgs/msg/Bool", b""), mcap.channel(1, 1, "/a", {})]
    place = len(start) + len(bomb) + len(mcap.data_end())
    index = mcap.chunk_index((0, 0), (len(start), len(bomb)), ({1: 0}, 0), "zstd", (len(BOMBS["zstd"]), 1000))
    section = [*declared, mcap.statistics({1: 1}, 1, (0, 0, 1), (0, 0)), index]
    end = mcap.footer(place, 0, section)
    path.write_bytes(start + bomb + mcap.data_end() + b"".join(section) + end + mcap.MAGIC)
    with pytest.raises(BagError, match="states 1000 bytes"):
        list(open_bag(tmp_path).messages())


@pytest.mark.parametrize("pack", [lambda data: data, zstd, lz4.frame.compress])
def test_an_intact_chunk_is_unpacked(pack):
    data = mcap.message_head(1, 2, 3, 4, 5) + b"hello"
    name = {zstd: "zstd", lz4.frame.compress: "lz4"}.get(pack, "")
    content = memoryview(
        mcap.chunk_head(3, 3, len(data), zlib.crc32(data), name, len(pack(data))) + pack(data)
    )[9:]
    head = read_head(content)
    assert bytes(unpack(head, content[head.bytes :])) == data
    assert bytes(unpack_part(head, content[head.bytes :])) == data
    ((place, opcode, record),) = records_in(memoryview(data))
    assert (place, opcode, bytes(record)[-5:]) == (0, mcap.MESSAGE, b"hello")


def test_a_record_that_ends_after_its_chunk_is_found_out():
    data = memoryview(mcap.message_head(1, 2, 3, 4, 5) + b"hell")
    assert list(records_in(data)) == []
    with pytest.raises(ChunkError, match="ends after the chunk"):
        list(records_in(data, whole=True))
