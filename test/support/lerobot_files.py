"""LeRobot data sets for tests: the one that LeRobot wrote, and damaged copies of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pyarrow.parquet as parquet

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "lerobot_v3_small"
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FRONT = "observation.images.front"


def decoded(path, height=6, width=8):
    """Return the frames of a video (T, H, W, 3), by ffmpeg alone."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def copied(folder: Path) -> Path:
    """Return a copy of the golden data set that may be changed."""
    return Path(shutil.copytree(GOLDEN, folder / "data set"))


def change_info(root: Path, change) -> None:
    """Change the object in meta/info.json in place."""
    path = root / "meta/info.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def change_column(root: Path, file: str, name: str, change) -> None:
    """Replace a column of a Parquet file by change(values as a list), keeping its type."""
    import pyarrow as arrow

    table = parquet.read_table(root / file)
    place = table.schema.get_field_index(name)
    values = change(table.column(name).to_pylist())
    table = table.set_column(
        place, table.schema.field(place), arrow.array(values, table.schema.field(place).type)
    )
    parquet.write_table(table, root / file)


def columns(root: Path, file: str = DATA) -> dict[str, np.ndarray]:
    """Return the columns of a Parquet file by pyarrow alone, lists as rows of an array."""
    table = parquet.read_table(root / file)
    return {name: np.array(table.column(name).to_pylist()) for name in table.schema.names}
