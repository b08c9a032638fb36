"""Counts from bags and versions: demonstrations, labels, control authority, and versions in control."""

import os
import shutil

from il_ros.episodes.arrays import array_files, cache
from il_ros.episodes.catalogue import scan
from il_ros.policies import lineage
from il_ros.policies.versions import versions
from il_ros.records.labelling import EXPERT
from il_ros.session import report


def linked(root, place, count=None):
    """Link the first `count` successful episodes of `root` into `place` (hard links)."""
    good = [entry for entry in scan(root).usable if entry.outcome == "success"]
    if count is not None and len(good) < count:
        raise RuntimeError(f"{root} holds {len(good)} demonstrations that succeeded; {count} are needed")
    for entry in sorted(good, key=lambda entry: entry.name)[:count]:
        shutil.copytree(entry.folder, place / entry.name, copy_function=os.link)


def effort(root, own, names=None):
    """Return labels, expert ticks and takeovers of the episodes `names`; None: of all episodes."""
    entries = [entry for entry in scan(root).usable if names is None or entry.name in names]
    labels = sum(frames(entry, own, root) for entry in entries)
    episodes = [each for each in report.read(root).kept if names is None or each.name in names]
    driven = sum(driver == EXPERT for each in episodes for driver in each.drivers)
    return labels, driven, sum(len(each.takeovers) for each in episodes)


def frames(entry, own, root):
    """Return the number of labelled frames that the package extracts from an episode."""
    try:
        return len(cache.Conversion(own, cache.cache_folder(root)).load(entry))
    except array_files.NoFramesError:
        return 0


def driving_after(policies, stage):
    """Return the version in control after `rounds` rounds; each round adds one, bad ones are skipped."""
    runs = versions(policies)[: stage + 1]
    return next(run for run in reversed(runs) if lineage.is_good(run))


def refused(policies):
    """Return the number of versions refused or rolled back."""
    return sum(lineage.read(run).state in lineage.BAD for run in versions(policies))
