"""What is counted of bags and versions: demonstrations, labels, who drove, and which version did."""

import os
import shutil

from il_ros.episodes.arrays import array_files, cache
from il_ros.episodes.catalogue import scan
from il_ros.policies import lineage
from il_ros.policies.versions import versions
from il_ros.records.labelling import EXPERT
from il_ros.session import report


def linked(root, place, count=None):
    """Give `place` the first `count` episodes of `root` that succeeded; the bags' bytes are shared."""
    good = [entry for entry in scan(root).usable if entry.outcome == "success"]
    if count is not None and len(good) < count:
        raise RuntimeError(f"{root} holds {len(good)} demonstrations that succeeded; {count} are needed")
    for entry in sorted(good, key=lambda entry: entry.name)[:count]:
        shutil.copytree(entry.folder, place / entry.name, copy_function=os.link)


def effort(root, own, names=None):
    """Return labels, the expert's ticks and takeovers of the episodes `names`; None: of all."""
    entries = [entry for entry in scan(root).usable if names is None or entry.name in names]
    labels = sum(frames(entry, own, root) for entry in entries)
    told = [each for each in report.read(root).kept if names is None or each.name in names]
    driven = sum(driver == EXPERT for each in told for driver in each.drivers)
    return labels, driven, sum(len(each.takeovers) for each in told)


def frames(entry, own, root):
    """Return how many labelled frames the package makes of an episode."""
    try:
        return len(cache.load(entry, own, cache.cache_folder(root)))
    except array_files.NoFramesError:
        return 0


def driving_after(policies, stage):
    """Return the version that drove after so many rounds: v1 began, each round made one, bad ones went."""
    runs = versions(policies)[: stage + 1]
    return next(run for run in reversed(runs) if lineage.is_good(run))


def refused(policies):
    """Return how many versions the gate refused, or were rolled back."""
    return sum(lineage.read(run).state in lineage.BAD for run in versions(policies))
