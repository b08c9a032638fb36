"""Faults of a recording, planted into takes: each function returns changed takes and the names of those that are
wrong."""

from __future__ import annotations

import dataclasses

import numpy as np

OFFSET_RAD = np.radians(17.0)


def _changed(takes, places, change):
    episodes = list(takes.episodes)
    for place in places:
        episodes[place] = change(episodes[place])
    names = {takes.episodes[place].name for place in places}
    return dataclasses.replace(takes, episodes=tuple(episodes)), names


def _chosen(takes, rng, count):
    return sorted(rng.choice(len(takes.episodes), size=count, replace=False).tolist())


def _with(episode, key, values):
    return dataclasses.replace(episode, observations={**episode.observations, key: values})


def _of_rows(episode, rows):
    """Return the episode of these rows, at even ticks."""
    rows = np.asarray(rows)
    ticks_ns = int(episode.ticks_ns[0]) + episode.period_ns * np.arange(len(rows))
    return dataclasses.replace(
        episode,
        observations={key: np.asarray(values)[rows] for key, values in episode.observations.items()},
        commands=np.asarray(episode.commands)[rows],
        offsets=np.asarray(episode.offsets)[rows],
        ticks_ns=ticks_ns,
        span_ns=(int(ticks_ns[0]), int(ticks_ns[-1])),
        authority=tuple(episode.authority[row] for row in rows) if episode.authority else (),
    )


def _column(takes, rng):
    """Return a column of a joint that moves."""
    moving = np.flatnonzero(takes.moved > 0.1 * takes.action_scales)
    return int(rng.choice(moving))


def _element(takes, rng):
    """Return key and place of an observed number that moves in most takes."""
    found = []
    for spec in takes.small:
        ranges = [np.ptp(np.asarray(each.observations[spec.key]), axis=0) for each in takes.episodes]
        joined = np.concatenate([np.asarray(each.observations[spec.key]) for each in takes.episodes])
        found += [
            (spec.key, int(place))
            for place in np.flatnonzero(np.median(ranges, axis=0) > 0.1 * np.ptp(joined, axis=0))
        ]
    return found[int(rng.integers(len(found)))] if found else None


def offset(takes, rng):
    """A leader arm whose joint is 17 degrees beside the follower's, in all takes."""
    column = _column(takes, rng)
    shift = np.zeros(takes.contract.action_size)
    shift[column] = OFFSET_RAD
    return _changed(
        takes,
        range(len(takes.episodes)),
        lambda each: dataclasses.replace(each, commands=each.commands + shift),
    )


def offset_in_one(takes, rng):
    """The same in one take."""
    column = _column(takes, rng)
    shift = np.zeros(takes.contract.action_size)
    shift[column] = OFFSET_RAD
    return _changed(
        takes, _chosen(takes, rng, 1), lambda each: dataclasses.replace(each, commands=each.commands + shift)
    )


def _late(values, ticks):
    rows = np.maximum(np.arange(len(values)) - ticks, 0)
    return np.asarray(values)[rows]


def lag(takes, rng):
    """Joint states that are 0.4 s late, in all takes."""
    (key,) = {action.reference for action in takes.contract.actions}
    return _changed(
        takes, range(len(takes.episodes)), lambda each: _with(each, key, _late(each.observations[key], 8))
    )


def _stream(takes, rng):
    """Return a stream whose time can be wrong: the fixed camera, the laser."""
    return takes.cameras[0].key if takes.cameras else takes.numeric[0].key


def shift(takes, rng):
    """A camera or the laser 0.2 s late, in all takes."""
    key = _stream(takes, rng)
    return _changed(
        takes, range(len(takes.episodes)), lambda each: _with(each, key, _late(each.observations[key], 4))
    )


def with_pauses(takes, rng):
    """Takes as a person shows them: with three stops of 0.3 to 0.8 s; no fault, the scripted expert never stops."""

    def paused(episode):
        counts = np.ones(len(episode), dtype=int)
        for at in rng.choice(np.arange(5, len(episode) - 5), size=3, replace=False):
            counts[at] += int(rng.integers(6, 16))
        return _of_rows(episode, np.repeat(np.arange(len(episode)), counts))

    return _changed(takes, range(len(takes.episodes)), paused)


def shift_of_wrist(takes, rng):
    """The camera at the wrist 0.2 s late, in all takes."""
    key = takes.cameras[-1].key
    return _changed(
        takes, range(len(takes.episodes)), lambda each: _with(each, key, _late(each.observations[key], 4))
    )


def shift_in_some(takes, rng):
    """A camera or the laser 0.25 s late, in three takes."""
    key = _stream(takes, rng)
    return _changed(
        takes, _chosen(takes, rng, 3), lambda each: _with(each, key, _late(each.observations[key], 5))
    )


def outlier(takes, rng):
    """One take with a detour: a joint goes 1.2 rad out of its way and back, in command and measurement."""
    column = _column(takes, rng)
    key = takes.contract.action_names[column].partition("/")[0]
    action = takes.contract.action(key)
    place = action.reference_index[column - takes.contract.action_slices[key].start]

    def detour(episode):
        out = 1.2 * np.sin(np.linspace(0, np.pi, len(episode)))
        commands, values = np.array(episode.commands), np.array(episode.observations[action.reference])
        commands[:, column] += out
        values[:, place] += out
        return dataclasses.replace(_with(episode, action.reference, values), commands=commands)

    return _changed(takes, _chosen(takes, rng, 1), detour)


def hesitant(takes, rng):
    """One take that lasts four times as long."""
    return _changed(
        takes, _chosen(takes, rng, 1), lambda each: _of_rows(each, np.repeat(np.arange(len(each)), 4))
    )


def duplicate(takes, rng):
    """One take that is another one, with noise."""
    first, second = _chosen(takes, rng, 2)
    source = takes.episodes[first]

    def copied(episode):
        values = {
            key: seen + 1e-4 * np.std(seen) * rng.standard_normal(seen.shape)
            if seen.dtype == np.float64
            else seen
            for key, seen in source.observations.items()
        }
        return dataclasses.replace(source, name=episode.name, observations=values)

    return _changed(takes, [second], copied)


def idle(takes, rng):
    """Three seconds in which nobody moves, in two takes."""

    def waits(episode):
        at = int(len(episode) * rng.uniform(0.2, 0.8))
        return _of_rows(episode, np.r_[np.arange(at), np.full(60, at), np.arange(at, len(episode))])

    return _changed(takes, _chosen(takes, rng, 2), waits)


def constant(takes, rng):
    """An observed number that is stuck in three takes."""
    found = _element(takes, rng)
    if found is None:
        return None
    key, place = found

    def stuck(episode):
        values = np.array(episode.observations[key])
        values[:, place] = values[0, place]
        return _with(episode, key, values)

    return _changed(takes, _chosen(takes, rng, 3), stuck)


def saturated(takes, rng):
    """A joint's sensor that stops at the 85th percentile of what it measures, in all takes that go beyond."""
    found = _element(takes, rng)
    if found is None:
        return None
    key, place = found
    joined = np.concatenate([np.asarray(each.observations[key])[:, place] for each in takes.episodes])
    end = np.quantile(joined, 0.85)

    def clipped(episode):
        values = np.array(episode.observations[key])
        values[:, place] = np.minimum(values[:, place], end)
        return _with(episode, key, values)

    beyond = [
        i for i, each in enumerate(takes.episodes) if np.asarray(each.observations[key])[:, place].max() > end
    ]
    return _changed(takes, beyond, clipped)


def jump(takes, rng):
    """An encoder that is wrong for one tick by 30 % of its range, in one take."""
    found = _element(takes, rng)
    if found is None:
        return None
    key, place = found
    joined = np.concatenate([np.asarray(each.observations[key])[:, place] for each in takes.episodes])

    def jumped(episode):
        values = np.array(episode.observations[key])
        values[int(rng.integers(5, len(values) - 5)), place] += 0.3 * np.ptp(joined)
        return _with(episode, key, values)

    return _changed(takes, _chosen(takes, rng, 1), jumped)


def degrees(takes, rng):
    """Joint states in degrees in two takes, from a driver that was set up anew; the last ones are a half turn away."""
    spec = next(each for each in takes.small if each.type == "sensor_msgs/msg/JointState")

    def converted(episode):
        joints = np.degrees(np.asarray(episode.observations[spec.key]))
        joints[-1] = 180.0
        return _with(episode, spec.key, joints)

    return _changed(takes, _chosen(takes, rng, 2), converted)


def alike_starts(takes, rng):
    """Takes that all begin where the first one begins."""
    first = takes.episodes[0]

    def moved(episode):
        values = {
            key: seen + (first.observations[key][0] - seen[0]) if seen.dtype == np.float64 else seen
            for key, seen in episode.observations.items()
        }
        return dataclasses.replace(episode, observations=values)

    return _changed(takes, range(len(takes.episodes)), moved)


def contradicting(takes, rng):
    """Three takes whose labels go the other way."""

    def mirrored(episode):
        measured = np.nan_to_num(takes.measured(episode))
        return dataclasses.replace(episode, commands=2 * measured - np.asarray(episode.commands))

    return _changed(takes, _chosen(takes, rng, 3), mirrored)


def _camera(takes, rng):
    return str(rng.choice([spec.key for spec in takes.cameras]))


def frozen(takes, rng):
    """A camera that repeats one picture for 1.2 s, in two takes."""
    key = _camera(takes, rng)

    def stands(episode):
        frames = np.array(episode.observations[key])
        at = int(rng.integers(5, max(6, len(frames) - 30)))
        frames[at : at + 24] = frames[at]
        return _with(episode, key, frames)

    return _changed(takes, _chosen(takes, rng, 2), stands)


def dark(takes, rng):
    """A camera at a quarter of its light, in two takes."""
    key = _camera(takes, rng)
    dim = lambda each: _with(each, key, (np.asarray(each.observations[key]) // 4).astype(np.uint8))  # noqa: E731
    return _changed(takes, _chosen(takes, rng, 2), dim)


def blurred(takes, rng):
    """A camera out of focus: a box of 5 pixels, in two takes."""
    key = _camera(takes, rng)

    def soft(episode):
        frames = np.asarray(episode.observations[key]).astype(np.float32)
        for axis in (1, 2):
            frames = sum(np.roll(frames, step, axis) for step in range(-2, 3)) / 5
        return _with(episode, key, frames.astype(np.uint8))

    return _changed(takes, _chosen(takes, rng, 2), soft)
