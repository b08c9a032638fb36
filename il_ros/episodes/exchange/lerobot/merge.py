"""Put the shards of an export to LeRobot together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.tables import grouped
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.export import (
    KIND,
    ExportReport,
    columns_of,
    report_of,
    steps_of,
    without_holes,
)
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.lerobot.writing.assemble import Base, assemble
from il_ros.episodes.exchange.lerobot.writing.segments import converted_in
from il_ros.episodes.exchange.shards import FILE, complete
from il_ros.episodes.exchange.staging import DATASET, SEGMENTS, Progress, publish, staging_of


def merge_lerobot(
    shards: Sequence[Path], out: Path, *, progress: Progress = lambda step, items: items
) -> ExportReport:
    """Put all shards of an export together: the data set is the one that the export without shards gives.

    The shards stay as they are. Raises ExchangeError when one is missing, given twice or of another export, or `out`
    exists; OSError when the disk is full.
    """
    package("pyarrow.parquet")
    if out.exists():
        raise ExchangeError(f"{out}: exists already; give another name")
    records = complete(shards, KIND)
    whole = records[0].whole
    try:
        options = ExportOptions(**whole["options"])
        contract = contracts.parse(whole["contract"], f"{records[0].folder / FILE}: contract")
        columns = columns_of(contract, options, whole["intervention"], whole["success"])
        left_out = [(str(name), str(reason)) for name, reason in whole["left_out"]]
        made = [
            converted_in(record.folder / SEGMENTS / Path(name).name)
            for record in records
            for name in record.own["folders"]
        ]
    except ExchangeError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ExchangeError(f"{records[0].folder / FILE}: can't be read: {error}") from error
    kept, more = without_holes(made, options)
    segments = [segment for each in kept for segment in each.segments]
    if not segments:
        raise ExchangeError(f"{out}: no episode to export\n" + "\n".join(grouped(left_out + more)))
    with staging_of(out) as staging:
        folder = staging / DATASET
        shutil.rmtree(folder, ignore_errors=True)
        limits = (options.data_mb, options.video_mb)
        steps = partial(steps_of, progress)
        assemble(segments, columns, folder, Base(), limits, options.robot_type, steps)
        publish(folder, out)
    return report_of(out, kept, segments, left_out + more, columns, [], [])
