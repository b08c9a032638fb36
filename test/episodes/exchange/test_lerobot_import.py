"""Import of a LeRobotDataset v3.0: the data set that LeRobot wrote, and round trips of our own."""

import lerobot_files
import made_episodes as made
import numpy as np
import pyarrow.parquet as parquet
import pytest
from lerobot_files import FRONT

from il_ros.cli.main import main
from il_ros.core import contract as contracts
from il_ros.core.messages import decode
from il_ros.core.specs import COMPRESSED_IMAGE
from il_ros.episodes import layout
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.replay import open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange import bags
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.grid import GridCounts, on_grid
from il_ros.episodes.exchange.lerobot.depth import DepthCodes
from il_ros.episodes.exchange.lerobot.draft import draft_contract
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.ingest import import_lerobot
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.policies import checkpoint
from il_ros.records.decision import GroupDecision, joined_authority
from il_ros.records.labelling import BY_MODE, DRIVEN

LENGTHS = (12, 15, 9)


def arrays(root, contract):
    dataset = Dataset.open(root, contract, validation=0)
    assert dataset.summary.left_out == ()
    return dataset.train


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """The golden data set imported as demonstrations: (root, report)."""
    root = tmp_path_factory.mktemp("golden") / "episodes"
    return root, import_lerobot(lerobot_files.GOLDEN, root, demonstrations=True)


def test_the_golden_data_set_keeps_every_number_and_its_grid(golden):
    root, report = golden
    found = arrays(root, report.contract)
    columns = lerobot_files.columns(lerobot_files.GOLDEN)
    assert [len(episode) for episode in found] == list(LENGTHS)
    assert [len(episode.runs) for episode in found] == [1, 1, 1]
    state = np.concatenate([episode.observations["state"] for episode in found])
    np.testing.assert_array_equal(state.astype(np.float32), columns["observation.state"].astype(np.float32))
    commands = np.concatenate([episode.commands for episode in found])
    np.testing.assert_array_equal(commands.astype(np.float32), columns["action"].astype(np.float32))
    assert {tuple(np.unique(np.diff(episode.ticks_ns))) for episode in found} == {(100_000_000,)}


GOLDEN_VIDEO = lerobot_files.GOLDEN / f"videos/{FRONT}/chunk-000/file-000.mp4"


def test_lossless_pictures_are_those_of_the_decoded_video(tmp_path):
    report = import_lerobot(lerobot_files.GOLDEN, tmp_path, demonstrations=True, lossless=True)
    found = np.concatenate([episode.observations["front"] for episode in arrays(tmp_path, report.contract)])
    np.testing.assert_array_equal(found, lerobot_files.decoded(GOLDEN_VIDEO, 96, 128))


def test_frames_of_a_video_become_jpegs_which_the_array_cache_takes_over(golden):
    """Encoded once: the cache holds the bag's own bytes."""
    root, report = golden
    found = np.concatenate([episode.observations["front"] for episode in arrays(root, report.contract)])
    assert psnr(found, lerobot_files.decoded(GOLDEN_VIDEO, 96, 128)) > 36  # it shows noise
    assert "the frames of videos are kept as jpegs of quality 95: front" in "\n".join(report.notes)
    topic = f"/{report.contract.observation('front').topic}"
    messages_of = open_bag(root / "episode_000001").messages([topic])
    data = [bytes(decode(each.type, each.raw).data) for each in messages_of]
    kept = Dataset.open(root, report.contract, validation=0, pictures="compressed")
    np.testing.assert_array_equal(np.concatenate([each.observations["front"] for each in kept.train]), found)
    (file,) = (root / ".cache").rglob("episode_000001/observation.front.pictures")
    assert file.read_bytes() == b"".join(data)


def test_processes_side_by_side_write_what_one_writes(golden, tmp_path):
    root, _ = golden
    report = import_lerobot(lerobot_files.GOLDEN, tmp_path, demonstrations=True, jobs=2)
    assert [folder.name for folder in report.folders] == [f"episode_00000{number}" for number in (1, 2, 3)]
    assert (report.frames, report.notes) == (sum(LENGTHS), golden[1].notes)
    for folder in report.folders:
        found, wanted = (open_bag(each / folder.name) for each in (tmp_path, root))
        assert list(found.messages()) == list(wanted.messages())


def test_imported_episodes_are_listed_verified_and_trained_on(golden, tmp_path, capsys):
    root, _ = golden
    assert main(["episodes", "list", str(root)]) == 0
    assert main(["episodes", "verify", "--root", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "episode_000001: ok" in printed
    assert "3 episodes: 3 ready" in printed
    quick = ["--set", "inputs=[state]", "--set", "epochs=2", "--set", "hidden=[8]"]
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *quick]) == 0
    assert checkpoint.load(tmp_path / "out").contract.name == "lerobot_v3_small"
    infos = [layout.load_info(root / layout.episode_name(number)) for number in (1, 2, 3)]
    assert [info.instruction for info in infos] == ["push", "push", "pick"]
    assert [info.outcome for info in infos] == ["unmarked"] * 3


def test_a_file_whose_episodes_share_one_row_group_gives_the_same(golden, tmp_path):
    """As data sets from before LeRobot 0.6 are."""
    source = lerobot_files.copied(tmp_path)
    parquet.write_table(parquet.read_table(source / lerobot_files.DATA), source / lerobot_files.DATA)
    assert parquet.ParquetFile(source / lerobot_files.DATA).num_row_groups == 1
    report = import_lerobot(source, tmp_path / "episodes", demonstrations=True)
    for found, wanted in zip(
        arrays(tmp_path / "episodes", report.contract), arrays(golden[0], golden[1].contract), strict=True
    ):
        np.testing.assert_array_equal(found.observations["state"], wanted.observations["state"])
        np.testing.assert_array_equal(found.commands, wanted.commands)
        np.testing.assert_array_equal(found.observations["front"], wanted.observations["front"])


def test_features_beyond_the_contract_are_kept_in_the_bag(golden):
    root, report = golden
    bag = open_bag(root / "episode_000001")
    assert bag.topics["/lerobot/extra/next_reward"].messages == 12
    assert "'next.reward' on /lerobot/extra/next_reward" in "\n".join(report.notes)


def test_only_interventions_are_labels(tmp_path):
    """In the copy, a person commanded frames 4 to 8 of the first episode."""
    source = lerobot_files.copied(tmp_path)
    manual = np.zeros(sum(LENGTHS), bool)
    manual[4:9] = True
    lerobot_files.change_column(source, lerobot_files.DATA, "intervention", lambda values: manual.tolist())
    report = import_lerobot(source, tmp_path / "episodes", episodes=[0])
    (episode,) = arrays(tmp_path / "episodes", report.contract)
    start_ns = layout.load_info(tmp_path / "episodes/episode_000001").started_ns
    np.testing.assert_array_equal((episode.ticks_ns - start_ns) / 1e8, np.arange(4, 9))
    assert set(episode.authority) == {"expert"}
    assert [(tick - start_ns) / 1e8 for tick in episode.takeovers_ns] == [4]
    assert "5 frames that a person commanded are labels" in report.notes[0]
    assert report.labelled


def test_without_interventions_nothing_is_a_label_and_no_training_is_proposed(tmp_path, capsys):
    words = ["episodes", "import", "lerobot", str(lerobot_files.GOLDEN), "--root"]
    assert main([*words, str(tmp_path / "none")]) == 0
    out = capsys.readouterr().out
    assert "a person commanded no frame, so none is a label" in out
    assert "next:" not in out
    assert main([*words, str(tmp_path / "all"), "--demonstrations"]) == 0
    assert f"next: il-ros train {tmp_path / 'all'}" in capsys.readouterr().out


def test_an_interrupted_import_goes_on_where_it_stopped(tmp_path, monkeypatch):
    root = tmp_path / "episodes"
    fill = bags._fill

    def failing(bag, contract, episode, start_ns):
        fill(bag, contract, episode, start_ns)
        if episode.number == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(bags, "_fill", failing)
    with pytest.raises(KeyboardInterrupt):
        import_lerobot(lerobot_files.GOLDEN, root)
    assert [entry.state for entry in scan(root).entries] == ["ready", "incomplete"]
    monkeypatch.setattr(bags, "_fill", fill)
    report = import_lerobot(lerobot_files.GOLDEN, root)
    assert (report.before, [folder.name for folder in report.folders]) == (
        1,
        ["episode_000002", "episode_000003"],
    )
    assert [entry.state for entry in scan(root).entries] == ["ready"] * 3
    assert import_lerobot(lerobot_files.GOLDEN, root).folders == ()


def test_the_drafted_contract_names_what_the_state_measures():
    contract = contracts.parse(draft_contract(lerobot_files.GOLDEN), "drafted")
    assert (contract.rate_hz, contract.trigger) == (10, "lerobot/state")
    (action,) = contract.actions
    assert action.names == tuple(f"j{number}.pos" for number in range(7))
    assert (action.quantity, action.reference) == ("position", "state")
    found = lerobot_files.columns(lerobot_files.GOLDEN)["action"]
    lower, upper, speed, _ = action.limits.arrays()
    assert (lower < found.min(axis=0)).all()
    assert (upper > found.max(axis=0)).all()
    steps = [np.abs(np.diff(part, axis=0)).max(axis=0) for part in np.split(found, np.cumsum(LENGTHS)[:-1])]
    np.testing.assert_allclose(speed, np.max(steps, axis=0) * 10 * 1.05, rtol=1e-4)


def test_an_action_that_the_state_does_not_measure_is_taken_as_it_is(tmp_path):
    source = lerobot_files.copied(tmp_path)
    names = [f"delta_{number}" for number in range(7)]
    lerobot_files.change_info(source, lambda info: info["features"]["action"].update(names=names))
    contract = contracts.parse(draft_contract(source), "drafted")
    assert (contract.actions[0].names, contract.actions[0].reference) == (tuple(names), None)
    report = import_lerobot(source, tmp_path / "episodes", demonstrations=True)
    assert arrays(tmp_path / "episodes", report.contract)[0].commands.shape == (12, 7)


def test_words_of_the_data_set_stay_comments_of_the_drafted_contract(tmp_path):
    source = lerobot_files.copied(tmp_path)
    change = {"robot_type": "arm\nrate_hz: 999\x00"}
    lerobot_files.change_info(source, lambda info: info.update(change))
    assert contracts.parse(draft_contract(source), "drafted").rate_hz == 10


# ---- into a contract of one's own ------------------------------------------------------------------------

ROBOT = """
name: robot
rate_hz: 10
observations:
  wrist: {topic: wrist, type: geometry_msgs/msg/WrenchStamped, fields: [force], max_age_s: 0.1}
  arm: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [j6.pos, j4.pos], max_age_s: 0.1}
  words: {topic: instruction, type: std_msgs/msg/String, max_age_s: 0.1}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x], limits: {speed: 5}}
"""


def test_a_contract_of_ones_own_picks_numbers_by_name_and_by_the_given_feature(tmp_path):
    source = lerobot_files.copied(tmp_path)

    def rename(info):
        names = ["force.x", "force.y", "force.z", "j3.pos", "j4.pos", "j5.pos", "j6.pos"]
        info["features"]["observation.state"]["names"] = names
        info["features"]["action"]["names"] = ["linear.x", "a", "b", "c", "d", "e", "f"]

    lerobot_files.change_info(source, rename)
    # random numbers: jumps that the joints of a real robot have not are not looked for in this contract
    robot = contracts.parse(
        ROBOT.replace("sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"), "robot.yaml"
    )
    report = import_lerobot(source, tmp_path / "episodes", contract=robot, demonstrations=True)
    found = arrays(tmp_path / "episodes", robot)
    columns = lerobot_files.columns(source)
    state = np.concatenate([episode.observations["wrist"] for episode in found])
    np.testing.assert_array_equal(state, columns["observation.state"][:, :3].astype(np.float32).astype(float))
    arm = np.concatenate([episode.observations["arm"] for episode in found])
    np.testing.assert_array_equal(
        arm.astype(np.float32), columns["observation.state"][:, [6, 4]].astype(np.float32)
    )
    commands = np.concatenate([episode.commands for episode in found])
    np.testing.assert_array_equal(commands.astype(np.float32), columns["action"][:, :1].astype(np.float32))
    assert [str(episode.observations["words"][0]) for episode in found] == ["push", "push", "pick"]
    assert f"the pictures '{FRONT}' are not used by the contract, and not imported" in report.notes


def test_what_the_contract_needs_and_the_data_set_lacks_is_named(tmp_path):
    robot = contracts.parse(ROBOT, "robot.yaml")
    with pytest.raises(
        ExchangeError, match=r"no feature has the 3 numbers of wrist: force.x, .*observation.state \(7\): j0"
    ):
        import_lerobot(lerobot_files.GOLDEN, tmp_path / "episodes", contract=robot)
    with pytest.raises(ExchangeError, match=r"has no feature 'observation.force', which is given for wrist"):
        import_lerobot(
            lerobot_files.GOLDEN,
            tmp_path / "episodes",
            contract=robot,
            features={"wrist": "observation.force"},
        )
    faster = contracts.parse(ROBOT.replace("rate_hz: 10", "rate_hz: 20"), "robot.yaml")
    with pytest.raises(ExchangeError, match="fps is 10, but contract 'robot' has rate_hz 20"):
        import_lerobot(lerobot_files.GOLDEN, tmp_path / "episodes", contract=faster)
    assert not (tmp_path / "episodes").exists()


# ---- round trips -----------------------------------------------------------------------------------------


def on_the_grid(folder, contract, rate_hz, rule=BY_MODE):
    """The frames of a bag on the grid of an export: states and commands by frame, and pictures."""
    info = layout.load_info(folder)
    replay = open_replay(open_bag(folder), contract, info, rule)
    frames = [item.frame for item in on_grid(replay, contract.period_ns, rate_hz, GridCounts())]
    return (
        np.array([frame.observation.values["joints"] for frame in frames]),
        np.array([frame.command for frame in frames]),
        np.array([frame.observation.values["camera"] for frame in frames]),
    )


def psnr(found, wanted):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((found.astype(float) - wanted.astype(float)) ** 2)))


@pytest.mark.parametrize("rate_hz", [20, 10])
def test_bag_to_lerobot_to_arrays_is_the_bag_on_the_same_grid(tmp_path, rate_hz):
    """Numbers are exact to float32; pictures by H.264 (CRF 18) have a PSNR above 40 dB."""
    source = tmp_path / "source"
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, 40)
    items = [item for tick in range(40) for item in jittered(tick, jitter[tick])]
    made.write(source, items)
    export_lerobot(scan(source).entries, tmp_path / "out", ExportOptions(jobs=1, fps=rate_hz))
    text = made.TEXT.replace("rate_hz: 20", f"rate_hz: {rate_hz}")
    report = import_lerobot(
        tmp_path / "out", tmp_path / "back", contract=contracts.parse(text, "made_up.yaml")
    )
    (episode,) = arrays(tmp_path / "back", report.contract)
    joints, commands, pictures = on_the_grid(source / "episode_000001", made.CONTRACT, rate_hz, DRIVEN)
    assert len(episode) == len(joints) == (40 if rate_hz == 20 else 20)
    np.testing.assert_array_equal(episode.observations["joints"], joints.astype(np.float32))
    np.testing.assert_array_equal(episode.commands, commands.astype(np.float32))
    assert psnr(np.asarray(episode.observations["camera"]), pictures) > 40
    assert (episode.outcome, episode.task) == ("success", "made_up")


def jittered(tick, jitter):
    at = tick + jitter
    return [made.image(at), made.joints(at), *made.commands(at), made.decision(at, stamp_ns=made.stamp(at))]


def test_an_export_comes_back_under_its_own_contract_with_its_authority(tmp_path):
    items = [item for item in made.recorded(20) if item.topic != made.DECISIONS]
    items += [
        made.decision(tick, authority="expert" if tick >= 12 else "policy", mode="hg_dagger")
        for tick in range(20)
    ]
    made.write(tmp_path / "source", items, outcome="failure")
    export_lerobot(
        scan(tmp_path / "source").entries, tmp_path / "out", ExportOptions(jobs=1, pictures="image")
    )
    report = import_lerobot(tmp_path / "out", tmp_path / "back")
    assert report.contract == made.CONTRACT
    (episode,), (before,) = (arrays(tmp_path / name, made.CONTRACT) for name in ("back", "source"))
    assert (episode.outcome, episode.authority, len(episode.takeovers_ns)) == ("failure", ("expert",) * 8, 1)
    np.testing.assert_array_equal(
        episode.observations["joints"], before.observations["joints"].astype(np.float32)
    )
    # the contract's raw pictures lie in the bag as the data set's pngs
    np.testing.assert_array_equal(episode.observations["camera"], before.observations["camera"])
    assert open_bag(report.folders[0]).topics["/camera/image_raw"].type == COMPRESSED_IMAGE
    (note,) = episode.notes
    assert note == (
        "topic camera/image_raw is sensor_msgs/msg/CompressedImage in the bag, sensor_msgs/msg/Image in the contract"
    )
    np.testing.assert_array_equal(episode.commands, before.commands.astype(np.float32))


def test_authority_of_groups_goes_out_and_comes_back(tmp_path):
    """A person takes the gripper for ticks 5 to 9, and the arm for 8 to 11."""
    text = made.TEXT + "groups: {left: [arm], right: [gripper]}\n"

    def part(columns, tick, begin, end):
        return GroupDecision(columns, "expert" if begin <= tick < end else "policy", "")

    items = [item for item in made.recorded(14) if item.topic != made.DECISIONS]
    for tick in range(14):
        groups = {"left": part((0, 1), tick, 8, 12), "right": part((2,), tick, 5, 10)}
        authority = joined_authority(each.authority for each in groups.values())
        items.append(made.decision(tick, authority=authority, mode="hg_dagger", groups=groups))
    made.write(tmp_path / "source", items, text=text)
    export_lerobot(
        scan(tmp_path / "source").entries, tmp_path / "out", ExportOptions(jobs=1, pictures="image")
    )
    found = lerobot_files.columns(tmp_path / "out")
    ticks = np.arange(14)
    np.testing.assert_array_equal(found["intervention.left"], (ticks >= 8) & (ticks < 12))
    np.testing.assert_array_equal(found["intervention.right"], (ticks >= 5) & (ticks < 10))
    np.testing.assert_array_equal(found["intervention"], (ticks >= 5) & (ticks < 12))
    report = import_lerobot(tmp_path / "out", tmp_path / "back")
    (episode,), (before,) = (arrays(tmp_path / name, report.contract) for name in ("back", "source"))
    np.testing.assert_array_equal(episode.commands, before.commands.astype(np.float32))
    assert np.isnan(episode.commands).any(axis=0).all()
    assert episode.authorities == before.authorities
    export_lerobot(
        scan(tmp_path / "source").entries,
        tmp_path / "labels",
        ExportOptions(jobs=1, actions="labels", holes="split"),
    )
    assert len(lerobot_files.columns(tmp_path / "labels")["index"]) == 2  # ticks 8 and 9 have both labels


def test_depth_comes_back_as_its_codes(tmp_path):
    text = made.TEXT.replace("width: 8, height: 6, encoding: rgb8", "width: 40, height: 24, encoding: depth")
    depth = np.random.default_rng(5).uniform(0.3, 9.0, (10, 24, 40, 1)).astype(np.float32)
    depth[:, 3, 4] = 0
    items = [item for item in made.recorded(10) if item.topic != "/camera/image_raw"]
    items += [made.depth_image(tick, depth[tick]) for tick in range(10)]
    made.write(tmp_path / "source", items, text=text)
    export_lerobot(scan(tmp_path / "source").entries, tmp_path / "out", ExportOptions(jobs=1))
    report = import_lerobot(tmp_path / "out", tmp_path / "back")
    (episode,) = arrays(tmp_path / "back", report.contract)
    codes = DepthCodes()
    np.testing.assert_array_equal(episode.observations["camera"], codes.decode(codes.encode(depth)))
    assert not np.asarray(episode.observations["camera"])[:, 3, 4].any()
