"""Damage in chosen places of a bag with twelve messages, three in each chunk, one each millisecond."""

import struct
import zlib
from pathlib import Path

import pytest
from damaged_bags import BOOL, MS, STRING, blocks, chunks, foreign, own
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from il_ros.core import messages
from il_ros.episodes.bag.mcap_records import CHANNEL, CHUNK_INDEX, DATA_END, MESSAGE, SCHEMA, record
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.recover import Recovery, recover
from il_ros.episodes.bag.recovery.damage import Harm

HEAD = 9 + 28  # opcode, length, times, size and checksum come before a chunk's compression


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = own(tmp_path / "bag", count=12, per_chunk=3)
    assert [len(chunk.messages) for chunk in chunks(path.read_bytes())][:2] == [3, 3]
    return path


def talk(folder: Path) -> list[int]:
    """Return the numbers of the strings that the recovered bag holds."""
    found = open_bag(folder).messages({"/talk"})
    return [int(messages.decode(STRING, item.raw).data.split()[1]) for item in found]


def recovered(file: Path, data: bytes) -> Recovery:
    """Recover the damaged file; its original must be kept."""
    file.write_bytes(data)
    done = recover(file.parent)
    assert file.with_name(file.name + ".orig").read_bytes() == data
    assert done.kept == (file.with_name(file.name + ".orig"),)
    assert not recover(file.parent).changed
    return done


def flipped(raw: bytes, place: int, mask: int = 4) -> bytes:
    data = bytearray(raw)
    data[place] ^= mask
    return bytes(data)


ALL = list(range(12))
WITHOUT_THE_SECOND_CHUNK = [0, 1, 2, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("offset", [0, 1, 3, 5, 8])  # opcode, then the length's bytes
def test_a_wrong_bit_in_the_head_of_a_chunk_costs_nothing(file: Path, offset: int):
    raw = file.read_bytes()
    start = chunks(raw)[1].start
    done = recovered(file, flipped(raw, start + offset))
    assert talk(file.parent) == ALL
    (span,) = done.spans
    assert (span.start, span.end, span.harm) == (start, start + 9, Harm.HEAD)
    assert (span.after_s, span.before_s) == (0.002, 0.003)
    assert (done.damaged_chunks, done.cut_bytes) == (0, 0)


@pytest.mark.parametrize("offset", [9 + 0, 9 + 16, HEAD + 4])  # start time, size, size of the stored records
def test_a_wrong_number_in_a_chunk_costs_nothing_if_its_checksum_is_right(file: Path, offset: int):
    raw = file.read_bytes()
    recovered(file, flipped(raw, chunks(raw)[1].start + offset))
    assert talk(file.parent) == ALL


@pytest.mark.parametrize("offset", [9 + 24, HEAD, -1])  # checksum, length of the compression's name, data
def test_a_damaged_chunk_costs_its_own_messages(file: Path, offset: int):
    raw = file.read_bytes()
    chunk = chunks(raw)[1]
    done = recovered(file, flipped(raw, (chunk.start if offset > 0 else chunk.end) + offset))
    assert talk(file.parent) == WITHOUT_THE_SECOND_CHUNK
    (span,) = done.spans
    assert (span.file, span.start, span.harm) == (file.name, chunk.start, Harm.CHUNK)
    assert (span.after_s, span.before_s) == (0.002, 0.006)
    assert done.damaged_chunks == 1


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "change", [lambda part: bytes(len(part)), lambda part: b"", lambda part: part + part]
)
def test_a_lost_zeroed_or_repeated_page_costs_the_chunk_it_lies_in(file: Path, change, finished: bool):
    raw = file.read_bytes()
    second, last = chunks(raw)[1], chunks(raw)[3]
    start, end = second.start - 3, second.start + 60  # from the index before the chunk into its first message
    done = recovered(
        file, raw[:start] + change(raw[start:end]) + raw[end : len(raw) if finished else last.end]
    )
    kept = talk(file.parent)
    assert [k for k in kept if k not in (3, 4, 5)] == WITHOUT_THE_SECOND_CHUNK
    assert done.spans


def test_two_damaged_chunks_are_two_spans(file: Path):
    raw = file.read_bytes()
    one, _, three = chunks(raw)[:3]
    done = recovered(file, flipped(flipped(raw, one.end - 1), three.end - 1))
    assert talk(file.parent) == [3, 4, 5, 9, 10, 11]
    assert [(each.start, each.end, each.after_s, each.before_s) for each in done.spans] == [
        (one.start, one.end, None, 0.0),  # seconds after the first message that is left
        (three.start, three.end, 0.002, 0.006),
    ]


@pytest.mark.parametrize("opcode", [SCHEMA, CHANNEL])
def test_a_damaged_declaration_is_taken_from_the_summary(file: Path, opcode: int):
    raw = file.read_bytes()
    place = next(block.start for block in blocks(raw) if raw[block.start] == opcode)
    for offset in (1, 9, 16, 25):
        recovered(file, flipped(raw, place + offset))
        assert talk(file.parent) == ALL
        assert open_bag(file.parent).topics["/talk"].type == STRING
        file.with_name(file.name + ".orig").unlink()


@pytest.mark.parametrize("opcode", [SCHEMA, CHANNEL, CHUNK_INDEX])
def test_a_damaged_summary_is_written_anew(file: Path, opcode: int):
    raw = file.read_bytes()
    place = [block.start for block in blocks(raw) if raw[block.start] == opcode][-1]
    for offset in (0, 1, 9, 20):
        done = recovered(file, flipped(raw, place + offset, 1))
        assert talk(file.parent) == ALL
        assert done.damaged_chunks == 0
        file.with_name(file.name + ".orig").unlink()


@pytest.mark.parametrize("count", [1, 8, 20])
def test_a_zeroed_start_costs_nothing(file: Path, count: int):
    recovered(file, bytes(count) + file.read_bytes()[count:])
    assert talk(file.parent) == ALL


def test_an_intact_bag_is_not_touched(file: Path):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in file.parent.iterdir()}
    done = recover(file.parent)
    assert (done.changed, done.spans, done.kept) == (False, (), ())
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in file.parent.iterdir()
    } == before


@pytest.mark.parametrize("offset", [0, 1, 2])  # opcode, length
def test_without_chunks_one_damaged_record_costs_one_message(tmp_path: Path, offset: int):
    file = foreign(tmp_path / "bag", CompressionType.NONE, count=12, use_chunking=False)
    raw = file.read_bytes()
    place = [block.start for block in blocks(raw) if raw[block.start] == MESSAGE][4]
    recovered(file, flipped(raw, place + offset))
    assert talk(file.parent) == [k for k in range(12) if k != 4]


def test_a_wrong_checksum_of_all_data_is_reported_and_costs_nothing(tmp_path: Path):
    options = {"use_chunking": False, "enable_data_crcs": True}
    file = foreign(tmp_path / "bag", CompressionType.NONE, count=12, **options)
    raw = file.read_bytes()
    done = recovered(file, flipped(raw, raw.index(b"message 5") + 12, 1))  # one y
    assert talk(file.parent) == ALL
    assert [span.harm for span in done.spans] == [Harm.UNKNOWN]


@pytest.mark.parametrize("compression", ["none", "zstd", "lz4"])
def test_the_messages_before_the_cut_of_the_last_chunk_are_kept(tmp_path: Path, compression: str):
    file = own(tmp_path / "bag", count=4000, per_chunk=4000, compression=compression)
    raw = file.read_bytes()
    (chunk,) = chunks(raw)
    whole = chunk.start + (chunk.end - chunk.start) * 9 // 10
    recovered(file, raw[:whole])
    kept = talk(file.parent)
    assert kept == list(range(len(kept)))
    assert len(kept) >= 1000  # compressed data are unpacked in blocks of up to 128 KiB


def test_messages_without_any_declaration_are_counted_and_the_original_is_kept(tmp_path: Path):
    file = foreign(tmp_path / "bag", CompressionType.NONE, count=40)
    raw = file.read_bytes()
    first, second = chunks(raw)[:2]  # the first one alone declares the topic, and no summary follows
    assert first.channels
    done = recovered(file, raw[: first.start] + bytes(first.end - first.start) + raw[first.end : second.end])
    assert (done.messages, done.undeclared) == (0, len(second.messages))


def test_a_damaged_declaration_of_an_unfinished_bag_is_taken_from_the_first_chunk(file: Path):
    raw = file.read_bytes()
    place = raw.index(b"/talk")
    last = chunks(raw)[3]
    recovered(file, flipped(raw, place)[: last.end])  # '+talk'
    assert talk(file.parent) == ALL


def test_a_long_tail_of_zeros_is_not_taken_for_the_end_of_a_message(file: Path):
    raw = file.read_bytes()
    last = chunks(raw)[3]
    end = raw.index(b"message 11 ") + 11  # 4 MiB are stated, so the zeros lie inside the chunk
    stated = (4 << 20).to_bytes(8, "little")
    head = last.start + HEAD + 4
    recovered(file, raw[:head] + stated + raw[head + 8 : end] + bytes(2000))
    assert talk(file.parent) == ALL[:-1]


@pytest.mark.parametrize("zeros", [9, 10, 18, 40])  # nine zeros have the form of an empty record
def test_zeros_after_the_last_whole_message_of_a_cut_chunk_are_damage(file: Path, zeros: int):
    raw = file.read_bytes()
    last = chunks(raw)[3]
    end = (
        raw.index(b"message 11 ") - 8 - 22 - 9
    )  # before its text's encapsulation and length, head and prefix
    done = recovered(file, raw[:end] + bytes(zeros))
    assert end > last.start
    assert talk(file.parent) == ALL[:-1]
    assert done.cut_bytes == zeros
    assert [(span.start, span.end, span.harm) for span in done.spans] == [(end, end + zeros, Harm.TAIL)]


# ---- bags of other recorders -----------------------------------------------------------------------------


def test_everything_in_a_foreign_bag_is_kept_and_then_its_original_is_not(tmp_path: Path):
    path = tmp_path / "bag" / "data.mcap"
    path.parent.mkdir()
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4, chunk_size=60)
        writer.start(profile="robot", library="other")
        first = writer.register_schema("pkg/Type", "protobuf", b"\x00\xff\x80")
        second = writer.register_schema("pkg/Type", "jsonschema", b"{}")
        channels = [
            writer.register_channel("/a", "protobuf", first, {"key": "value"}),
            writer.register_channel("/b", "json", second),
            writer.register_channel("/none", "text", 0),
        ]
        for k in range(9):
            writer.add_message(channels[k % 3], k * MS, f"message {k}".encode(), k + 5, k)
        writer.add_attachment(1, 2, "map.png", "image/png", b"\x89PNG" * 10)
        writer.add_metadata("note", {"a": "b"})
        writer.add_metadata("note", {"a": "second of this name"})
        writer.finish()
    raw = path.read_bytes()
    end = next(block.start for block in blocks(raw) if raw[block.start] == DATA_END)
    path.write_bytes(raw[:end] + record(0x91, b"an application's own record"))
    done = recover(path.parent)
    assert (done.messages, done.changed, done.spans, done.kept) == (9, True, (), ())
    assert {file.name for file in path.parent.iterdir()} == {"data.mcap", "metadata.yaml"}
    assert record(0x91, b"an application's own record") in path.read_bytes()
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == "robot"
        found = [
            (
                channel.topic,
                channel.message_encoding,
                channel.metadata,
                schema,
                message.data,
                message.publish_time,
            )
            for schema, channel, message in reader.iter_messages(log_time_order=False)
        ]
        assert [item[4] for item in found] == [f"message {k}".encode() for k in range(9)]
        assert [item[5] for item in found] == [k + 5 for k in range(9)]
        assert (found[0][0], found[0][1], found[0][2]) == ("/a", "protobuf", {"key": "value"})
        assert (found[0][3].encoding, found[0][3].data) == ("protobuf", b"\x00\xff\x80")
        assert (found[1][3].name, found[1][3].encoding) == ("pkg/Type", "jsonschema")
        assert (found[2][0], found[2][1], found[2][3]) == ("/none", "text", None)
        (attachment,) = reader.iter_attachments()
        assert (attachment.name, attachment.media_type, attachment.data) == (
            "map.png",
            "image/png",
            b"\x89PNG" * 10,
        )
        assert (attachment.create_time, attachment.log_time) == (1, 2)
        assert [item.metadata for item in reader.iter_metadata()] == [
            {"a": "b"},
            {"a": "second of this name"},
        ]
        statistics = reader.get_summary().statistics
        assert (statistics.attachment_count, statistics.metadata_count) == (1, 2)


def test_the_checksum_of_our_summary_is_the_specification_s(file: Path):
    raw = file.read_bytes()
    start, offsets, crc = struct.unpack("<QQI", raw[-28:-8])
    assert crc == zlib.crc32(raw[start:-12])
    assert start < offsets


def test_a_truth_value_is_kept_with_its_type(file: Path):
    raw = file.read_bytes()
    recovered(file, raw[: chunks(raw)[3].end - 5])
    assert open_bag(file.parent).topics["/truth"].type == BOOL
