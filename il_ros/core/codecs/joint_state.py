"""Fast decoding of a JointState's CDR bytes, which every tick of an arm needs.

Full decoding takes longer than a small policy. The place of each joint is determined once per layout
(`joint_layout`). The general codec handles all other cases (a missing joint, a joint named twice, a field of another
length, NaN) and reports the errors; tests compare the two.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.codecs.joint_layout import JointLayout, find_layout
from il_ros.core.specs import JOINT_FIELDS, ObservationSpec, Vector


class JointStateReader:
    """Reads the values of `spec` from JointState bytes; caches the last layout."""

    def __init__(self, spec: ObservationSpec) -> None:
        self._wanted, self._fields = spec.names, spec.fields
        self._layout: JointLayout | None = None
        self._columns = np.zeros(0, np.intp)

    def read(self, raw: bytes) -> Vector | None:
        """Return the numbers (D,) in the order of the spec; None when the general codec must decode."""
        layout = self._layout
        if layout is None or not layout.matches(raw):
            layout = find_layout(raw)
            if layout is None or not self._usable(layout):
                return None
            self._layout = layout
            self._columns = np.array([layout.columns[name] for name in self._wanted], np.intp)
        numbers = np.concatenate(
            [layout.read(raw, field)[self._columns] for field in self._fields], dtype=float
        )
        return numbers if np.isfinite(numbers).all() else None

    def _usable(self, layout: JointLayout) -> bool:
        lengths = {layout.counts[JOINT_FIELDS.index(field)] for field in self._fields}
        return lengths == {len(layout.names)} and all(layout.names.count(name) == 1 for name in self._wanted)
