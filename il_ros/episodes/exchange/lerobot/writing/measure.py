"""The statistics of an export: of each episode, and of all new frames together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.episodes.exchange.lerobot.columns import Columns
from il_ros.episodes.exchange.lerobot.layout import DATA_PATH, Feature
from il_ros.episodes.exchange.lerobot.parquet import ParquetReader, numbers_of
from il_ros.episodes.exchange.lerobot.tables import EpisodeRow
from il_ros.episodes.exchange.lerobot.writing import stats
from il_ros.episodes.exchange.lerobot.writing.segments import Segment, counts_file

Array = np.ndarray[Any, Any]


def of_segment(segment: Segment, table: Any, columns: Columns) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the statistics of a segment's features, and how often each value occurs in its pictures.

    `table`: its rows.
    """
    counts = {key: np.load(counts_file(segment.folder, key), allow_pickle=False) for key in columns.cameras}
    found: dict[str, Any] = {}
    for key, feature in columns.features.items():
        if feature.is_picture:
            found[key] = stats.of_counts(counts[key], _values(feature, columns), segment.frames)
        elif feature.is_number:
            found[key] = stats.of_numbers(numbers_of(table.column(key), feature, segment.folder))
    return found, counts


def _values(feature: Feature, columns: Columns) -> Array:
    """Return what each counted value stands for: metres, or a share of full brightness."""
    return columns.depth.table().astype(np.float64) if feature.is_depth else np.arange(256) / 255


def of_all(
    counts: Mapping[str, Array],
    features: Mapping[str, Feature],
    out: Path,
    rows: Sequence[EpisodeRow],
    columns: Columns,
) -> dict[str, Any]:
    """Return the statistics of all new frames together: of all numbers and all pixels, not of the episodes'."""
    frames = sum(row.length for row in rows)
    found: dict[str, Any] = {}
    for key, feature in features.items():
        if feature.is_picture:
            found[key] = stats.of_counts(counts[key], _values(feature, columns), frames)
        elif feature.is_number:
            parts = []
            for place in dict.fromkeys(row.data for row in rows):
                path = out / DATA_PATH.format(chunk_index=place[0], file_index=place[1])
                with ParquetReader(path) as file:
                    parts.append(numbers_of(file.table([key]).column(key), feature, path))
            found[key] = stats.of_numbers(np.concatenate(parts))
    return found
