"""Unpack what rosbag2 compresses with zstd: single messages (mode MESSAGE) and whole files (mode FILE)."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

ZSTD = b"\x28\xb5\x2f\xfd"
SUFFIX = ".zstd"
LARGEST_MESSAGE = 1 << 28
"""Bytes of an unpacked message; more are refused."""
_READ_BYTES = 1 << 20
_RATIO, _ALWAYS_BYTES = 1000, 1 << 30
"""A file unpacks to a gigabyte, or a thousand times its size if that is more."""


class PackedError(ValueError):
    """Bytes that should be zstd can't be unpacked, or are too large unpacked."""


def unpack_message(raw: bytes) -> bytes:
    """Return a message's CDR, unpacked if it is a zstd frame: no CDR begins with the bytes of one.

    Raises PackedError.
    """
    if raw[:4] != ZSTD:
        return raw
    import zstandard

    try:
        stated = zstandard.get_frame_parameters(raw).content_size
        if stated != zstandard.CONTENTSIZE_UNKNOWN and stated > LARGEST_MESSAGE:
            raise PackedError(f"a message states {stated} bytes unpacked; {LARGEST_MESSAGE} at most are read")
        with zstandard.ZstdDecompressor().stream_reader(raw) as reader:
            data = bytes(reader.read(LARGEST_MESSAGE + 1))
    except zstandard.ZstdError as error:
        raise PackedError(
            f"a message of {len(raw)} bytes is compressed and can't be unpacked: {error}"
        ) from error
    if len(data) > LARGEST_MESSAGE:
        raise PackedError(f"a message has more than {LARGEST_MESSAGE} bytes unpacked")
    return data


class UnpackedFile:
    """A temporary copy of a compressed file; it is removed with the last reference to it."""

    def __init__(self, path: Path) -> None:
        """Unpack the file; raises PackedError, OSError."""
        import zstandard

        folder = tempfile.mkdtemp(prefix="il_ros_bag_")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / path.name.removesuffix(SUFFIX)
        left = max(_ALWAYS_BYTES, _RATIO * path.stat().st_size)
        try:
            with path.open("rb") as source, self.path.open("wb") as target:  # noqa: SIM117
                with zstandard.ZstdDecompressor().stream_reader(source) as reader:
                    while part := reader.read(_READ_BYTES):
                        left -= len(part)
                        if left < 0:
                            raise PackedError("it is more than a thousand times larger unpacked")
                        target.write(part)
        except zstandard.ZstdError as error:
            raise PackedError(f"it can't be unpacked: {error}") from error
