"""Positions of joints that are of another unit than the contract says: degrees for radians, millimetres for metres."""

from __future__ import annotations

import numpy as np

from il_ros.core import units
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet


def other_units(takes: TakeSet) -> list[Finding]:
    """Find observations whose joints are farther away than a joint in the contract's unit can be."""
    found = []
    for spec in takes.small:
        values = {each.name: np.asarray(each.observations[spec.key]) for each in takes.episodes}
        joined = np.concatenate(list(values.values()))
        if not len(joined):
            continue
        suspicion = units.suspicion(spec, joined)
        if suspicion is None:
            continue
        names = tuple(
            name for name, each in values.items() if len(each) and units.suspicion(spec, each) is not None
        )
        episode = next(each for each in takes.episodes if each.name == names[0])
        place = spec.elements.index(suspicion.element)
        line = Line(suspicion.element, takes.times_s(episode), values[names[0]][:, place])
        found.append(
            Finding(
                Check.UNIT,
                Severity.FAULT,
                f"{suspicion.sentence}, in {takes.listed(names)}.",
                "Limits, speeds and noise floors are taken in the contract's unit, and another source of the same "
                "joints commands something else.",
                names,
                suspicion.times,
                (suspicion.remedy,),
                Plot(f"{spec.key}/{suspicion.element}", "s since the start", suspicion.unit, (line,)),
            )
        )
    return found
