"""The readers of bags, episode folders, cached arrays and checkpoints, for the fuzzers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import lerobot_files
import made_episodes as made
import numpy as np
import robomimic_files
from conformance import WITH_TEXT, Prepared, Subject, with_words
from fuzzing import Mutator, Reader, in_folder, mutated_bytes, mutated_file, mutated_json, mutated_mcap, named

from il_ros.core import contract, messages
from il_ros.episodes import inferred_labels, layout
from il_ros.episodes.arrays import cache as array_cache
from il_ros.episodes.bag import recover as recovery
from il_ros.episodes.bag.mcap_chunk import ChunkError, read_head, unpack, unpack_part
from il_ros.episodes.bag.mcap_parse import Malformed
from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import look, scan
from il_ros.episodes.counts import count_episode
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.draft import drafted_from
from il_ros.episodes.exchange.hdf5.layout import RobomimicFile
from il_ros.episodes.exchange.lerobot import video
from il_ros.episodes.exchange.lerobot.draft import draft_contract
from il_ros.episodes.exchange.lerobot.layout import Feature, read_info
from il_ros.episodes.exchange.lerobot.rows import DataRows
from il_ros.episodes.exchange.lerobot.tables import read_episodes, read_tasks
from il_ros.episodes.verify import verify
from il_ros.policies import checkpoint
from il_ros.records import decision
from il_ros.session import report
from il_ros.session.relabelling import moments
from il_ros.training import recipe as recipes
from il_ros.training import saved
from il_ros.training.loop import TrainingError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STRING = "std_msgs/msg/String"


_DECISION = decision.Decision(5, 6, "policy", "why", {"expert": None}, (1.0, 2.0), uncertainty=0.1)


# ---- bags ------------------------------------------------------------------------------------------------


def bag_readers(folder: Path) -> Sequence[Reader]:
    files = _mcap_files(folder)
    chunks = tuple(chunk for file in files for chunk in _chunks(file))
    db3 = _db3(folder)
    metadata = tuple(file for file in db3 if file.startswith(b"metadata.yaml"))
    return [
        Reader("MCAP", files, mutated_mcap, _mcap(folder), (BagError,), files[-1:]),
        Reader("MCAP chunk", chunks, mutated_bytes, _chunk, (ChunkError, Malformed)),
        Reader("recover", files, mutated_mcap, _recovered(folder), (recovery.RecoverError,)),
        Reader("db3", db3, mutated_file, in_folder(folder / "db3", _read_bag), (BagError,)),
        Reader("metadata.yaml", metadata, mutated_file, in_folder(folder / "db3", _read_bag), (BagError,)),
        Reader("episode", _recorded_texts(), mutated_json, _episode(folder), ()),
        Reader("episode folder", _episode_files(folder), mutated_file, _episode_folder(folder), ()),
        Reader("array cache", *_cached(folder, compressed=False), ()),
        Reader("array cache, compressed", *_cached(folder, compressed=True), (OSError,)),
        Reader("LeRobot data set", *_lerobot(folder), (ExchangeError,)),
        Reader("LeRobot video", *_video(folder), (ExchangeError,)),
        Reader("robomimic", *_robomimic(folder), (ExchangeError,)),
    ]


def _mcap_files(folder: Path) -> tuple[bytes, ...]:
    """Bags of two chunks: plain, without checksums, compressed, and cut."""
    found = []
    for number, (compression, checksums) in enumerate(
        (("none", True), ("none", False), ("zstd", True), ("lz4", False))
    ):
        path = folder / f"seed{number}"
        shutil.rmtree(path, ignore_errors=True)
        with BagWriter(path, chunk_bytes=600, compression=compression, checksums=checksums) as bag:
            joints = bag.add_stream("/joint_states", made.JOINTS)
            decisions = bag.add_stream(made.DECISIONS, STRING)
            for tick in range(6):
                item = made.joints(tick)
                bag.write(joints, item.log_ns, item.raw)
                bag.write(decisions, item.log_ns + 1, made.decision(tick).raw)
        found.append(layout.bag_file(path).read_bytes())
    return (*found, found[1][:-200])


def _read_bag(path: Path) -> object:
    bag = open_bag(path)
    return sum(len(item.raw) for item in bag.messages())


def _mcap(folder: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        (folder / "one.mcap").write_bytes(raw)
        return _read_bag(folder / "one.mcap")

    return read


def _chunks(raw: bytes) -> list[bytes]:
    found, place = [], 8
    while place + 9 <= len(raw):
        size = int.from_bytes(raw[place + 1 : place + 9], "little")
        if raw[place] == 6:
            found.append(raw[place + 9 : place + 9 + size])
        place += 9 + size
    return found


def _chunk(raw: bytes) -> object:
    head = read_head(memoryview(raw))
    stored = memoryview(raw)[head.bytes :]
    with contextlib.suppress(ChunkError):
        unpack_part(head, stored)
    return unpack(head, stored)


def _recovered(folder: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        """Recover a bag; what recovery wrote can be read, and a second one changes nothing."""
        path = folder / "episode_000001"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        layout.bag_file(path).write_bytes(raw)
        result = recovery.recover(path)
        messages_read = len(list(open_bag(path).messages()))
        assert messages_read == result.messages, f"{messages_read} read, {result.messages} recovered"
        assert not recovery.recover(path).changed
        return result

    return read


def _db3(folder: Path) -> tuple[bytes, ...]:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    path = folder / "db3"
    shutil.rmtree(path, ignore_errors=True)
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as bag:
        connection = bag.add_connection(
            "/joint_states", made.JOINTS, typestore=get_typestore(Stores.ROS2_JAZZY)
        )
        for tick in range(4):
            bag.write(connection, made.stamp(tick), made.joints(tick).raw)
    return tuple(named(file.name, file.read_bytes()) for file in sorted(path.iterdir()))


def _lerobot(folder: Path) -> tuple[tuple[bytes, ...], Mutator, Callable[[bytes], object]]:
    """A data set without its videos: its JSON and Parquet files."""
    root = folder / "lerobot"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(lerobot_files.GOLDEN, root, ignore=shutil.ignore_patterns("videos"))
    files = ("meta/info.json", "meta/tasks.parquet", lerobot_files.EPISODES, lerobot_files.DATA)
    seeds = tuple(named(file, (root / file).read_bytes()) for file in files)
    return seeds, mutated_file, in_folder(root, _read_lerobot)


def _read_lerobot(root: Path) -> object:
    info = read_info(root)
    read_tasks(info)
    with DataRows(info, read_episodes(info)) as data:
        for row in data.episodes:
            data.require_counters(row)
            for feature in info.numbers:
                data.numbers(row, feature)
    return draft_contract(root)


def _video(folder: Path) -> tuple[tuple[bytes, ...], Mutator, Callable[[bytes], object]]:
    """A video of four frames, read as a data set's."""
    path = folder / "video.mp4"
    feature = Feature("observation.images.front", "video", (16, 16, 3), ("height", "width", "channels"))
    with video.VideoWriter(path, 16, 16, 10, "h264") as writer:
        for number in range(4):
            writer.write(np.full((16, 16, 3), 50 * number, np.uint8))

    def read(raw: bytes) -> object:
        path.write_bytes(raw)
        video.require_even_times(path, 10, 4)
        return [frame.shape for frame in video.read_frames(path, feature, 10, 0.0, 4)]

    return (path.read_bytes(),), mutated_bytes, read


def _robomimic(folder: Path) -> tuple[tuple[bytes, ...], Mutator, Callable[[bytes], object]]:
    path = folder / "demos.hdf5"
    seed = robomimic_files.write(path).read_bytes()

    def read(raw: bytes) -> object:
        path.write_bytes(raw)
        with RobomimicFile(path) as file:
            for demo in file.demos:
                for key in (*file.keys(demo), *(f"obs/{key}" for key in file.observed_keys(demo))):
                    file.array(demo, key)
            return drafted_from(file, None)

    return (seed,), mutated_bytes, read


def _recorded_texts() -> tuple[bytes, ...]:
    """The texts of one episode: decisions, marks and a state, as a JSON list."""
    words = [
        json.loads(decision.to_json(_DECISION)),
        {"stamp_ns": made.stamp(3)},
        [made.stamp(2), 0.5, 0.5],
    ]
    good = messages.decode(STRING, made.decision(5).raw).data
    return (json.dumps(words).encode(), json.dumps([json.loads(good), {"stamp_ns": 1}, [1.0]]).encode())


def _episode(folder: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        """Write an episode whose recorded texts are odd; every command on it gives its result."""
        try:
            values = json.loads(raw)
            texts = [
                json.dumps(each) for each in (values if isinstance(values, list) and values else [values])
            ]
        except (ValueError, RecursionError):
            texts = [raw.decode("utf-8", "replace")]
        root = folder / "odd"
        shutil.rmtree(root, ignore_errors=True)
        items = made.recorded(8)
        for number, text in enumerate(texts[:3]):
            items += [made.text(number + 3, text), made.text(number, text, "/session/marks")]
        with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):
            numbers = np.array(json.loads(texts[-1]), dtype=np.float64).ravel()
            items.append(made.command("/task/state", numbers, made.stamp(4)))
        made.write(root, items)
        return _commands_on(root)

    return read


def _commands_on(root: Path) -> object:
    found: list[object] = []
    with contextlib.suppress(ValueError):  # there is nothing to report
        found.append(report.text(report.read(root)))
    for entry in scan(root).entries:
        found.append(verify(entry.folder))
        with contextlib.suppress(BagError, layout.LayoutError, moments.RelabelError):
            found.append(moments.moments(entry.folder, uncertain=2))
        with contextlib.suppress(BagError):
            found.append(count_episode(entry))
    return found


def _episode_files(folder: Path) -> tuple[bytes, ...]:
    path = made.write(folder / "files", made.recorded(8))
    ticks = np.array([made.stamp(tick) for tick in range(8)], dtype=np.int64)
    labels = inferred_labels.InferredLabels("model", made.CONTRACT.action_names, ticks, np.ones((8, 3)))
    inferred_labels.write(path, labels)
    found = tuple(named(file.name, file.read_bytes()) for file in sorted(path.iterdir()) if file.suffix)
    return tuple(each for each in found if not each.startswith(b"."))


def _episode_folder(folder: Path) -> Callable[[bytes], object]:
    return in_folder(folder / "files" / "episode_000001", lambda path: _commands_on(path.parent))


def _cached(
    folder: Path, *, compressed: bool
) -> tuple[tuple[bytes, ...], Mutator, Callable[[bytes], object]]:
    """The arrays of an episode; compressed pictures are read when they are indexed."""
    entry = look(made.write(folder / f"cached {compressed}", made.recorded(8)))
    kept = folder / f"arrays {compressed}"
    shutil.rmtree(kept, ignore_errors=True)

    def read(_: Path) -> object:
        arrays = array_cache.Conversion(made.CONTRACT, kept, compressed=compressed).load(entry)
        assert len(arrays) == len(arrays.commands) == len(arrays.ticks_ns)
        return [np.asarray(arrays.observations["camera"][tick]).shape for tick in range(len(arrays))]

    read(kept)
    (inside,) = kept.glob(f"*/{entry.name}")
    seeds = tuple(named(file.name, file.read_bytes()) for file in sorted(inside.iterdir()))
    return seeds, mutated_file, in_folder(inside, read)


# ---- policies --------------------------------------------------------------------------------------------


def policy_readers(folder: Path) -> Sequence[Reader]:
    seeds, states = [], []
    for name in ("bc_distance", "ensemble", "bc_gaussian"):
        copied = _copy(GOLDEN / "policies" / name / "checkpoint", folder / "policies" / name)
        seeds += [named(f"{name}/{file.name}", file.read_bytes()) for file in sorted(copied.iterdir())]
    small = Subject("transformer", {"width": 4, "heads": 1, "blocks": 1, "history": 2})
    spoken = folder / "policies" / "with_words"
    checkpoint.save(spoken, Prepared(small, WITH_TEXT, with_words()).policy())
    checkpoint.load(
        spoken
    )  # families, and torch's parts for them, are imported at their first use: not in timed runs
    seeds += [named(f"with_words/{file.name}", file.read_bytes()) for file in sorted(spoken.iterdir())]
    run = _copy(GOLDEN / "policies" / "halted", folder / "halted")
    states = [named(f"resume/{file.name}", file.read_bytes()) for file in sorted((run / "resume").iterdir())]
    return [
        Reader(
            "checkpoint",
            tuple(seeds),
            mutated_file,
            _checkpoint(folder / "policies"),
            (checkpoint.CheckpointError,),
        ),
        Reader("saved training", tuple(states), mutated_file, in_folder(run, _resumed), (TrainingError,)),
    ]


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def _checkpoint(folder: Path) -> Callable[[bytes], object]:
    def load(_: Path, name: str) -> object:
        """Load a checkpoint whose checksums fit, as those of a forged one do."""
        path, config = folder / name, folder / name / checkpoint.CONFIG
        before = config.read_bytes()
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(before)
            if isinstance(values, dict):
                values["model_sha256"] = hashlib.sha256((path / checkpoint.MODEL).read_bytes()).hexdigest()
                with contextlib.suppress(contract.ContractError, UnicodeDecodeError):
                    own = contract.parse((path / checkpoint.CONTRACT).read_text(), "x")
                    values["contract_hash"] = own.hash
                former = path / checkpoint.FORMER_UNCERTAINTY
                if former.exists() and isinstance(values.get("doubt"), dict):
                    values["doubt"]["sha256"] = hashlib.sha256(former.read_bytes()).hexdigest()
                assets = path / checkpoint.ASSETS
                if assets.exists():
                    values["assets_sha256"] = hashlib.sha256(assets.read_bytes()).hexdigest()
                config.write_text(json.dumps(values))
        try:
            policy = checkpoint.load(path)
            seen = {spec.key: np.zeros(spec.shape, spec.dtype) for spec in policy.contract.observations}
            with contextlib.suppress(ValueError):  # an orientation of zeros, or an output that is not finite
                policy.act(seen)
            return policy
        finally:
            config.write_bytes(before)

    def read(raw: bytes) -> object:
        name = raw.partition(b"\0")[0].decode().partition("/")[0]
        return in_folder(folder, lambda path: load(path, name))(raw)

    return read


@cache
def _real_loop() -> object:
    from il_ros.policies.families.registry import make_network
    from il_ros.training.loop import TrainingLoop

    policy = checkpoint.load(GOLDEN / "policies" / "halted")
    recipe = _halted_recipe()
    network = make_network(recipe.family, recipe.policy, policy.contract, policy.normaliser)
    return TrainingLoop(network, recipe.training)


@cache
def _halted_recipe() -> recipes.Recipe:
    words = json.loads((GOLDEN / "policies" / "halted" / "resume" / "state.json").read_text())["run"][
        "recipe"
    ]
    words["training"]["uncertainty"] = words["training"].pop("doubt")
    return recipes.Recipe.from_plain(words, "state.json")


@cache
def _halted_identity() -> str:
    return (GOLDEN / "policies" / "halted" / "resume" / "state.json").read_text()


def _resumed(run: Path) -> object:
    identity = {**json.loads(_halted_identity())["run"], "recipe": _halted_recipe().to_plain()}
    saved.require_same(run, identity)
    saved.restore(run, _real_loop())  # type: ignore[arg-type]
    return run
