"""Random events for `limit_oracle.LimitedMotion`: everyday driving, and all that can go wrong around it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import POSE
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.labelling import MODES

from .limit_oracle import LimitedMotion, Worst

Vector = NDArray[np.float64]
NAMES = ("policy", "expert")
ABSURD = (math.nan, math.inf, -1e300, 1e308, 1e6, 0.0)
OTHERS = (
    *("burst", "glitch", "silence", "freeze", "clock", "restart", "switch", "stop", "resume", "activate"),
    *("release", "rest"),
)  # fmt: skip


class RandomEvents:
    """Applies random events to a supervision under one contract; the oracle raises LimitError."""

    def __init__(self, own: Contract, rng: np.random.Generator, worst: Worst) -> None:
        self._rng, self._own, self._worst = rng, own, worst
        self._lower, self._upper, self._speed, _ = (
            np.concatenate(parts) for parts in zip(*(a.limits.arrays() for a in own.actions), strict=True)
        )
        self._lower, self._upper = np.maximum(self._lower, -3.0), np.minimum(self._upper, 3.0)
        slices = own.action_slices
        self._rotations = [
            slice(slices[a.key].stop - 4, slices[a.key].stop) for a in own.actions if a.type == POSE
        ]
        self._kept = [a.key for a in own.actions if not a.is_velocity]
        rests = bool(rng.random() < 0.2)
        keep = tuple(key for key in self._kept if rng.random() < 0.15)
        self.motion = LimitedMotion(
            own,
            simulated=bool(rng.random() < 0.4),
            mode=self._mode(),
            worst=worst,
            without_measurement=str(rng.choice(["wait", "trust"])),
            hold_at_start=bool(rng.random() < 0.3),
            keep_command=keep,
            start_at_rest=rests,
            unresponsive_s=float(rng.choice([0.0, 0.5])),
            manual=("expert",) if rests and rng.random() < 0.5 else (),
        )
        self._goal = {name: self._target() for name in NAMES}
        self.motion.measure(self._target(0.98))
        if rests:
            self.motion.drive()

    def run(self, events: int) -> None:
        """Apply random events: four of five are ordinary control periods."""
        for _ in range(events):
            if self._rng.random() < 0.8:
                self.period()
            else:
                what = OTHERS[self._rng.integers(len(OTHERS))]
                self._worst.counts[f"event {what}"] += 1
                getattr(self, what)()

    def period(self) -> None:
        """A control period of irregular length: the robot follows, one or both sources propose."""
        rng, motion, period = self._rng, self.motion, self.motion.period_ns
        nominal = rng.random() < 0.5
        motion.wait(
            period if nominal else int(period * rng.choice([0.0, 0.001, 0.2, 0.33, 0.7, 1.1, 1.5, 2.5, 6.0]))
        )
        if rng.random() < 0.9:
            motion.measure(self._near(0.05 if nominal else 0.4))
        for name in NAMES if rng.random() < 0.3 else (NAMES[rng.integers(2)],):
            self.propose(name)
        if rng.random() < 0.3:
            motion.tick()

    def propose(self, name: str, ahead_ns: int | None = None) -> None:
        """Propose a chunk towards a goal that wanders, jumps, lies outside the limits or is absurd."""
        rng, period = self._rng, self.motion.period_ns
        if rng.random() < 0.05:
            self._goal[name] = self._target(1.0 if rng.random() < 0.7 else 1.5)
        else:
            self._goal[name] = (
                self._goal[name] + rng.normal(size=len(self._speed)) * self._speed * period * 0.5e-9
            )
        row = self._goal[name].copy()
        for part in self._rotations:
            row[part] /= np.linalg.norm(row[part])
        if rng.random() < 0.01:
            row[rng.integers(len(row))] = ABSURD[rng.integers(len(ABSURD))]
        if ahead_ns is None:
            ahead_ns = int(period * rng.choice([0, 0, 0, 0, -1, -0.4, 0.5, 1, 3]))
        rows = [row] * int(rng.choice([1, 1, 1, 5]))
        late = float(rng.random()) if rng.random() < 0.5 else None
        self.motion.propose(name, *rows, ahead_ns=ahead_ns, current=bool(rng.random() < 0.9), late=late)

    def burst(self) -> None:
        """Many proposals at one moment, stamped ahead."""
        for k in range(int(self._rng.integers(2, 12))):
            self.propose(NAMES[self._rng.integers(2)], min(k * self.motion.period_ns // 3, 199_000_000))

    def glitch(self) -> None:
        """One wrong measurement, and a proposal at that moment."""
        state = self._near(0.1)
        place = int(self._rng.integers(len(state)))
        state[place] = self._rng.choice([1e6, -1e308, math.nan, state[place] + 0.7, state[place] - 0.2, 0.0])
        self.motion.measure(state)
        self.propose(NAMES[self._rng.integers(2)])

    def silence(self) -> None:
        """Some periods without a proposal: the timer decides."""
        for _ in range(int(self._rng.integers(1, 12))):
            self.motion.wait(int(self.motion.period_ns * self._rng.choice([0.5, 1.0])))
            self.motion.tick()

    def freeze(self) -> None:
        """The node's clock stands still, or runs faster than the steady one."""
        for _ in range(int(self._rng.integers(1, 4))):
            self.motion.wait(self.motion.period_ns, int(self._rng.choice([0, 3])) * self.motion.period_ns)
            self.propose(NAMES[self._rng.integers(2)])
            self.motion.tick()

    def clock(self) -> None:
        """The node's clock is set."""
        steps = [-(10**9), -self.motion.period_ns, -1, 1, self.motion.period_ns // 2, 10**9]
        self.motion.step_clock(int(self._rng.choice(steps)))
        self.motion.tick()

    def restart(self) -> None:
        """A new episode; in a simulation the robot may be placed elsewhere."""
        self.motion.restart()
        if self.motion.simulated and self._rng.random() < 0.5:
            self.motion.measure(self._target(1.0))

    def switch(self) -> None:
        """Another mode."""
        self.motion.switch(self._mode())

    def stop(self) -> None:
        """The emergency stop, in most cases released after some periods."""
        self.motion.stop()
        self.silence()
        if self._rng.random() < 0.8:
            self.resume()

    def resume(self) -> None:
        """The release of the emergency stop, and a person's permission to drive."""
        self.motion.resume()
        self.motion.drive()

    def activate(self) -> None:
        """The node is activated again; other nodes may have moved the robot."""
        self.motion.activate()
        self.motion.measure(self._target(0.98))
        self.motion.drive()

    def release(self) -> None:
        """A source releases its authority."""
        self.motion.release(NAMES[self._rng.integers(2)])

    def rest(self) -> None:
        """A person lets the robot rest, and drive again."""
        self.motion.drive(False)
        self.silence()
        self.motion.drive()

    def _mode(self):  # type: ignore[no-untyped-def]
        name = str(self._rng.choice(MODES))
        options = ModeOptions(mode=name, beta="constant:0.5", unit=str(self._rng.choice(["step", "segment"])))
        return make_mode(options, self._own, NAMES, ModeMemory(self._own.period_ns))

    def _target(self, share: float = 1.0) -> Vector:
        """Return a random action (A,) within `share` of the limits, which may be more than 1."""
        middle, half = (self._upper + self._lower) / 2, (self._upper - self._lower) / 2
        values = middle + share * half * self._rng.uniform(-1.0, 1.0, len(middle))
        for part in self._rotations:
            values[part] = self._rng.normal(size=4)
            values[part] /= np.linalg.norm(values[part])
        return np.asarray(values)

    def _near(self, error_s: float) -> Vector:
        """Return a state (A,) near the last command: off by up to `error_s` of motion at the speed limit."""
        if self.motion.sent is None:
            return self._target(0.98)
        values = (
            np.array(self.motion.sent) + self._rng.uniform(-error_s, error_s, len(self._speed)) * self._speed
        )
        for part in self._rotations:
            sent = np.array(self.motion.sent)[part]
            values[part] = sent + self._rng.uniform(-1, 1, 4) * min(error_s, 0.3) * self._speed[part] / 4
            values[part] /= np.linalg.norm(values[part])
        return values
