"""Import a robomimic HDF5 file as episodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import ObservationSpec
from il_ros.core.tables import counted
from il_ros.episodes.contract_draft import word
from il_ros.episodes.exchange.bags import ImportedEpisode, require_own_topics, write_bag
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.draft import TOPICS, drafted_from
from il_ros.episodes.exchange.hdf5.layout import Demo, ObservedPart, RobomimicFile
from il_ros.episodes.exchange.journal import Journal
from il_ros.episodes.exchange.report import ImportReport
from il_ros.episodes.exchange.shards import Shard
from il_ros.records import strict_json as check
from il_ros.records.outcomes import OUTCOMES, SUCCESS, UNMARKED

Array = np.ndarray[Any, Any]


def import_robomimic(
    path: Path,
    root: Path,
    *,
    contract: Contract | None = None,
    observations: Mapping[str, str] | None = None,
    mask: str = "",
    rate_hz: float | None = None,
    shard: Shard | None = None,
    progress: Callable[[Sequence[Demo]], Iterable[Demo]] = iter,
) -> ImportReport:
    """Write the demonstrations of the file `path` as episodes under `root`.

    `contract`: what the bags hold; None: the one that an export of this package has with it, or else one drafted from
    the shapes at `rate_hz` (None: the file's control_freq); another contract must have this rate. `observations`: the
    file's key by the contract's, where they differ. `mask`: only the demonstrations that it names. All actions are
    labels. An episode has the outcome that an export of this package says; in other files it is a success if its last
    reward is 1, or else unmarked.
    `shard`: import only this part of them, into a root of its own, which `merge_imports` puts together.
    An import that was interrupted goes on where it stopped.
    Raises ExchangeError naming file, key and value that can't be used, OSError.
    """
    with RobomimicFile(path) as file:
        if contract is None:
            contract = contract_of(file, rate_hz)
        if rate_hz is not None and not math.isclose(rate_hz, contract.rate_hz, rel_tol=1e-4):
            raise ExchangeError(
                f"{path}: contract '{contract.name}' has rate_hz {contract.rate_hz:g}, not {rate_hz:g} as asked for "
                "(--rate); leave --rate out, or give a contract with that rate"
            )
        require_own_topics(contract)
        found = _match(contract, file, observations or {})
        demos = _selected(file, mask)
        content = f"{len(file.demos)} {sum(demo.length for demo in file.demos)}"
        journal = Journal(root, f"{path.resolve()} {content}", [demo.number for demo in demos], shard)
        reader = _DemoReader(file, contract, found)
        starts = np.cumsum([0, *(demo.length for demo in file.demos)]).tolist()
        before_of = {demo.name: start for demo, start in zip(file.demos, starts, strict=False)}
        folders: list[Path] = []
        before = frames = 0
        for demo in progress(demos if shard is None else shard.part(demos)):
            if journal.has(demo.number):
                before += 1
                continue
            episode = reader.episode(demo, before_of[demo.name])
            folder = journal.claim(demo.number)
            write_bag(folder, contract, episode)
            folders.append(folder)
            frames += demo.length
        journal.finish(f"{content} {contract.hash} {sorted((observations or {}).items())} {mask}")
        return ImportReport(contract, tuple(folders), before, frames, tuple(reader.notes(mask)))


def contract_of(file: RobomimicFile, rate_hz: float | None) -> Contract:
    """Return the contract that an export has with it, if the file still fits it, or a drafted one."""
    try:
        own = contracts.parse(file.contract_text, f"{file.path} (its contract)")
        _match(own, file, {})
        return own
    except (ContractError, ExchangeError):  # another program's file, or it was changed since
        return contracts.parse(drafted_from(file, rate_hz), f"the contract drafted from {file.path}")


def _match(contract: Contract, file: RobomimicFile, given: Mapping[str, str]) -> dict[str, ObservedPart]:
    """Return the file's observation of each of the contract's keys; texts have none."""
    known = {part.key: part for part in file.observed}
    found = {}
    unknown = [key for key in given if key not in {spec.key for spec in contract.observations}]
    if unknown:
        raise ExchangeError(f"contract '{contract.name}' has no observation '{unknown[0]}'")
    for spec in contract.observations:
        if spec.kind == "text":
            continue
        wanted = given.get(spec.key, spec.key)
        part = known.get(wanted) or next((each for each in file.observed if word(each.key) == wanted), None)
        has = ", ".join(f"{each.key} {each.shape}" for each in file.observed)
        if part is None:
            raise ExchangeError(
                f"{file.path}: obs has no '{wanted}' for {spec.key}; it has {has}. Give one: {spec.key}=KEY"
            )
        fits = (
            part.picture and part.depth == (spec.image.encoding == "depth")
            if spec.image
            else part.size == spec.size
        )
        if not fits:
            raise ExchangeError(
                f"{file.path}: obs/{part.key} has frames of shape {part.shape} and type {part.dtype}; {spec.key} needs "
                f"{spec.shape}. It has {has}"
            )
        found[spec.key] = part
    if contract.action_size != file.action_size:
        raise ExchangeError(
            f"{file.path}: actions have {counted(file.action_size, 'number')}; contract '{contract.name}' has "
            f"{contract.action_size}: {', '.join(contract.action_names)}"
        )
    return found


def _selected(file: RobomimicFile, mask: str) -> list[Demo]:
    if not mask:
        return list(file.demos)
    if mask not in file.masks:
        raise ExchangeError(f"{file.path}: has no mask '{mask}'; it has: {', '.join(file.masks) or 'none'}")
    return [demo for demo in file.demos if demo.name in file.masks[mask]]


class _DemoReader:
    """Makes the episodes of a file; what was noticed meanwhile is in `notes`."""

    def __init__(self, file: RobomimicFile, contract: Contract, found: Mapping[str, ObservedPart]):
        self._file, self._contract, self._found = file, contract, found
        self._unlike_next = self._successes = 0
        self._extra: dict[str, str] = {}
        self._unused: dict[str, None] = {}

    def notes(self, mask: str) -> Iterator[str]:
        """Yield sentences about what was kept apart, left out or interpreted."""
        if self._successes:
            yield f"{counted(self._successes, 'episode')} whose last reward is 1: marked as success"
        if self._file.masks and not mask:
            listed = ", ".join(f"{name} ({len(names)})" for name, names in self._file.masks.items())
            yield f"all demonstrations were imported; masks of the file: {listed}"
        if self._extra:
            listed = ", ".join(f"'{key}' on {topic}" for key, topic in self._extra.items())
            yield f"what the contract does not use is kept in the bags: {listed}"
        if self._unused:
            yield f"pictures that the contract does not use were not imported: {', '.join(self._unused)}"
        if self._unlike_next:
            yield (
                f"{counted(self._unlike_next, 'episode')} in which next_obs is not the obs of the next frame; next_obs "
                "is not imported"
            )

    def episode(self, demo: Demo, frames_before: int) -> ImportedEpisode:
        """Return a demonstration; raises ExchangeError when it is not as the first one."""
        file = self._file
        for part in file.observed:
            if file.part(demo, part.key).shape != part.shape:
                raise ExchangeError(
                    f"{file.path}: obs/{part.key} of {demo.name} has frames of shape "
                    f"{file.part(demo, part.key).shape}; those of {file.demos[0].name} have {part.shape}"
                )
        actions = self._numbers(demo, "actions")
        if actions.shape != (demo.length, file.action_size):
            raise ExchangeError(
                f"{file.path}: actions of {demo.name} has shape {actions.shape}; (N, A) is needed"
            )
        used = {part.key for part in self._found.values()}
        extra = {f"obs/{part.key}" for part in file.observed if part.key not in used and not part.picture}
        extra |= {key for key in file.keys(demo) if key not in ("actions",)}
        self._unused |= dict.fromkeys(
            part.key for part in file.observed if part.key not in used and part.picture
        )
        self._extra |= {key: f"/{TOPICS}/extra/{word(key)}" for key in sorted(extra)}
        self._compare_next(demo)
        outcome = self._outcome(demo)
        sentence = _instruction(demo, file)
        specs = [spec for spec in self._contract.observations if spec.key in self._found]
        masks = ", ".join(name for name, names in file.masks.items() if demo.name in names)
        return ImportedEpisode(
            number=demo.number,
            frames_before=frames_before,
            length=demo.length,
            numbers={spec.key: self._observed(demo, spec) for spec in specs if spec.image is None},
            pictures={spec.key: self._pictures(demo, spec) for spec in specs if spec.image is not None},
            texts={
                spec.key: [sentence] * demo.length
                for spec in self._contract.observations
                if spec.kind == "text"
            },
            commands={key: actions[:, place] for key, place in self._contract.action_slices.items()},
            extra={self._extra[key]: self._numbers(demo, key) for key in sorted(extra)},
            outcome=outcome,
            task=str(file.environment.get("env_name") or "robomimic")[:100],
            instruction=sentence,
            origin={"format": "robomimic", "path": str(file.path), "demo": demo.name},
            kept={"env_args": file.environment_text, "masks": masks, **demo.texts},
        )

    def _outcome(self, demo: Demo) -> str:
        """Return the outcome that an export wrote, or success if the last reward is 1."""
        if demo.texts.get("outcome") in OUTCOMES:
            return demo.texts["outcome"]
        rewards = (
            self._numbers(demo, "rewards").reshape(-1) if "rewards" in self._file.keys(demo) else np.zeros(1)
        )
        self._successes += bool(rewards[-1] == 1)
        return SUCCESS if rewards[-1] == 1 else UNMARKED

    def _observed(self, demo: Demo, spec: ObservationSpec) -> Array:
        return self._numbers(demo, f"obs/{self._found[spec.key].key}").reshape(demo.length, -1)

    def _numbers(self, demo: Demo, key: str) -> Array:
        values = self._file.array(demo, key)
        if values.dtype.kind not in "fiub" or not np.isfinite(values.astype(np.float64)).all():
            raise ExchangeError(
                f"{self._file.path}: {key} of {demo.name} holds {values.dtype} that are not all finite numbers"
            )
        return values.astype(np.float64)

    def _pictures(self, demo: Demo, spec: ObservationSpec) -> Iterator[Array]:
        """Yield pictures one by one: (H, W, C) uint8, or float32 metres."""
        part = self._found[spec.key]
        for row in range(demo.length):
            (picture,) = self._file.array(demo, f"obs/{part.key}", slice(row, row + 1))
            if not part.depth and picture.dtype != np.uint8:
                raise ExchangeError(
                    f"{self._file.path}: obs/{part.key} of {demo.name} is {picture.dtype}; pictures are uint8"
                )
            yield picture.astype(np.float32) if part.depth else picture

    def _compare_next(self, demo: Demo) -> None:
        """Count demonstrations whose next_obs says something else than the obs of the next frame."""
        for key in self._file.observed_keys(demo, "next_obs"):
            part = next((each for each in self._file.observed if each.key == key), None)
            if part is None or part.picture:
                continue
            following = self._file.array(demo, f"next_obs/{key}")[:-1]
            if not np.array_equal(following, self._file.array(demo, f"obs/{key}")[1:]):
                self._unlike_next += 1
                return


def _instruction(demo: Demo, file: RobomimicFile) -> str:
    """Return the instruction that an export wrote, that in `ep_meta` (key `lang`), or the environment's name."""
    try:
        meta = check.loads(demo.texts.get("ep_meta", "{}"))
    except check.JsonError:
        meta = {}
    sentence = meta.get("lang") if isinstance(meta, dict) else None
    name = file.environment.get("env_name")
    return next(
        (each for each in (demo.texts.get("instruction"), sentence, name) if isinstance(each, str) and each),
        "",
    )
