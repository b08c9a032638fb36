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
        self._start = self._count = 0
        self._places, self._zeros = np.zeros(0, np.intp), np.zeros(0)
        self._type = np.dtype("<f8")

    def read(self, raw: bytes, layout: JointLayout | None = None) -> Vector | None:
        """Return the numbers (D,) in the order of the spec; None when the general codec must decode.

        `layout`: that of the message if it is known already.
        """
        if self._layout is None or not (layout is self._layout or self._layout.matches(raw)):
            layout = layout or find_layout(raw)
            if layout is None or not self._usable(layout):
                return None
            self._use(layout)
        # all fields at once; their numbers are 8 bytes apart, and so is a count between two fields
        numbers = np.frombuffer(raw, self._type, self._count, self._start)[self._places]
        if numbers.dot(self._zeros) != 0.0:  # NaN for a number that is not finite
            return None
        return numbers if self._type.isnative else numbers.astype(float)

    def _use(self, layout: JointLayout) -> None:
        """Find the places of the wanted numbers in messages of a layout."""
        starts = [layout.place(field) for field in self._fields]
        columns = np.array([layout.columns[name] for name in self._wanted], np.intp)
        self._layout, self._start = layout, min(starts)
        self._places = np.concatenate([(start - self._start) // 8 + columns for start in starts])
        self._zeros = np.zeros(len(self._places))
        self._count = int(self._places.max()) + 1
        self._type = np.dtype(">f8" if layout.big else "<f8")

    def _usable(self, layout: JointLayout) -> bool:
        lengths = {layout.counts[JOINT_FIELDS.index(field)] for field in self._fields}
        return lengths == {len(layout.names)} and all(layout.names.count(name) == 1 for name in self._wanted)
