"""`il-ros episodes` on generated episodes."""

import csv

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.episodes import layout


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working folder with three episodes in ./episodes: good, failed, and truncated."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "episodes"
    made.write(
        folder, made.recorded(10), 1, streams=(layout.StreamInfo("/joint_states", made.JOINTS, 10, 999),)
    )
    made.write(folder, made.recorded(10), 2, outcome="failure")
    cut = layout.bag_file(made.write(folder, made.recorded(10), 3, complete=False))
    cut.write_bytes(cut.read_bytes()[:-300])
    return folder


def output_of(capsys, *words):
    status = main(["episodes", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_list_shows_every_episode_and_why_one_is_unusable(root, capsys):
    status, out, _ = output_of(capsys, "list")
    assert status == 0
    assert "episode_000001  ready       success" in out
    assert "episode_000002  ready       failure" in out
    assert "episode_000003  incomplete  success" in out
    assert "il-ros episodes recover" in out
    assert "3 episodes: 2 ready, 1 incomplete. Usable: 1 success, 1 failure, 0.9 s in all." in out


OWNED = "\x1b]0;owned\x07\x9b2Jpush\nfake  line"


def test_control_characters_of_a_foreign_bag_are_shown_as_their_escapes(tmp_path, capsys):
    made.write(tmp_path / "e", made.recorded(10), 1, task=OWNED, operator=OWNED, instruction=OWNED)
    for words in (("list", tmp_path / "e"), ("info", tmp_path / "e" / "episode_000001")):
        status, out, err = output_of(capsys, *words)
        assert status == 0
        assert [c for c in out + err if not c.isprintable() and c != "\n"] == []
        assert "\\x1b]0;owned\\x07\\x9b2Jpush\\nfake  line" in out


def test_list_of_an_empty_and_of_a_missing_folder(tmp_path, capsys):
    assert output_of(capsys, "list", tmp_path)[:2] == (0, f"{tmp_path}: no episodes\n")
    status, _, err = output_of(capsys, "list", tmp_path / "nowhere")
    assert status == 1
    assert err == f"il-ros episodes list: {tmp_path / 'nowhere'}: there is no such folder of episodes\n"


def test_info_by_number_and_by_path(root, capsys):
    status, out, _ = output_of(capsys, "info", 1)
    assert status == 0
    assert "outcome      success" in out
    assert "/joint_states  sensor_msgs/msg/JointState        10" in out
    assert output_of(capsys, "info", root / "episode_000001")[1] == out


def test_info_without_statistics_shows_what_the_bag_holds(root, capsys):
    out = output_of(capsys, "info", 2)[1]
    assert "bag          50 messages in 0.45 s" in out
    assert "/camera/image_raw" in out


def test_info_of_a_truncated_episode_names_the_recover_command(root, capsys):
    status, out, _ = output_of(capsys, "info", 3)
    assert status == 0
    assert "state        incomplete" in out
    assert f"il-ros episodes recover {root / 'episode_000003'}" in out


def test_a_missing_episode_is_named(root, capsys):
    status, _, err = output_of(capsys, "info", 99)
    assert status == 1
    assert "episodes/episode_000099: there is no such episode" in err


def test_verify_returns_one_when_an_episode_is_unusable(root, capsys):
    status, out, _ = output_of(capsys, "verify")
    assert status == 1
    assert "episode_000001: ok, 50 messages, 10 frames of 10 ticks" in out
    assert "episode_000003: unusable" in out
    assert "3 episodes: 2 ok, 1 unusable" in out
    assert output_of(capsys, "verify", 1, 2)[0] == 0


def test_recover_makes_a_truncated_episode_usable(root, capsys):
    status, out, _ = output_of(capsys, "recover", 3)
    assert status == 0
    assert out.startswith("episode_000003: recovered, 50 messages")
    assert output_of(capsys, "verify", 3)[0] == 0
    assert "was complete already" in output_of(capsys, "recover", 3)[1]


def test_recover_continues_after_a_failure(root, capsys):
    layout.bag_file(root / "episode_000002").unlink()
    status, out, err = output_of(capsys, "recover", 2, 3)
    assert status == 1
    assert "episode_000003: recovered" in out
    assert "episode_000002" in err


def test_discard_and_undo_delete_nothing(root, capsys):
    assert output_of(capsys, "discard", 1, "--reason", "slipped")[0] == 0
    assert "discarded" in output_of(capsys, "list")[1]
    assert "slipped" in output_of(capsys, "list")[1]
    assert output_of(capsys, "verify", 1)[1].startswith("episode_000001: discarded, 50 messages")
    assert output_of(capsys, "undo", 1)[1] == "episode_000001: counts again\n"
    assert output_of(capsys, "undo", 1)[1] == "episode_000001: was not discarded\n"
    assert "slipped" not in output_of(capsys, "list")[1]


def test_discard_of_several_does_all_or_nothing(root, capsys):
    status, _, err = output_of(capsys, "discard", 1, 99)
    assert status == 1
    assert "episode_000099" in err
    assert not layout.is_discarded(root / "episode_000001")
    assert output_of(capsys, "discard", root)[0] == 1  # the folder of episodes is not an episode


def test_replay_counts_frames_and_writes_them(root, capsys, tmp_path):
    status, out, _ = output_of(capsys, "replay", 1, "--csv", "frames.csv")
    assert status == 0
    assert "episode_000001 under contract 'made_up': 10 frames of 10 ticks" in out
    with (tmp_path / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert float(rows[4]["joints/position/b"]) == 4.5
    assert float(rows[4]["arm/a"]) == 5.0
    assert rows[4]["authority"] == "expert"


def test_replay_under_another_contract_names_what_is_missing(root, capsys, tmp_path):
    (tmp_path / "other.yaml").write_text(
        made.TEXT.replace("topic: joint_states", "topic: joints").replace(
            "trigger: joint_states", "trigger: joints"
        )
    )
    status, _, err = output_of(capsys, "replay", 1, "--contract", "other.yaml")
    assert status == 1
    assert "joints needs topic joints (sensor_msgs/msg/JointState), which is not in the bag" in err


def test_replay_without_a_recorded_contract_needs_the_option(root, capsys):
    (root / "episode_000001" / layout.INFO_FILE).unlink()
    assert "give one with --contract FILE" in output_of(capsys, "replay", 1)[2]


def test_plot_writes_an_image_and_nothing_beside_the_bag(root, capsys, tmp_path):
    status, out, _ = output_of(capsys, "plot", 1)
    assert (status, out) == (0, "written: episode_000001.png\n")
    assert (tmp_path / "episode_000001.png").stat().st_size > 10_000
    assert not (root / ".cache").exists()


def test_video_and_sheet(root, capsys, tmp_path):
    assert (
        output_of(capsys, "video", 1, "--sheet", "--pictures", 4)[1]
        == "written: episode_000001.png (4 pictures)\n"
    )
    assert output_of(capsys, "video", 1, "-o", "film.mp4", "--fps", 10)[1].startswith(
        "written: film.mp4 (5 pictures)"
    )
    assert (tmp_path / "film.mp4").stat().st_size > 500


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["plot", "1"], "episode_000001.png"),
        (["plot", "1", "-o", "mine.svg"], "mine.svg"),
        (["video", "1"], "episode_000001.mp4"),
        (["video", "1", "--sheet"], "episode_000001.png"),
        (["replay", "1", "--csv", "mine.csv"], "mine.csv"),
        (["doctor", "1", "-o", "."], "index.html"),
    ],
)
def test_a_file_of_somebody_else_is_not_replaced_and_ones_own_is(root, capsys, tmp_path, words, name):
    mine = tmp_path / name
    mine.write_text("<title>il_ros in our lab</title>")
    status, _, err = output_of(capsys, *words)
    assert status == 1
    assert f"il-ros episodes {words[0]}: {name}: exists, and il-ros did not write it" in err
    assert mine.read_text() == "<title>il_ros in our lab</title>"
    assert {path.name for path in tmp_path.iterdir()} == {"episodes", name}
    mine.unlink()
    for _ in range(2):
        assert output_of(capsys, *words)[2] == ""
    assert mine.stat().st_size > 100


def test_every_verb_has_help(capsys):
    for verb in ("list", "info", "verify", "recover", "discard", "undo", "replay", "plot", "video"):
        with pytest.raises(SystemExit) as ended:
            main(["episodes", verb, "--help"])
        assert ended.value.code == 0
    with pytest.raises(SystemExit):
        main(["episodes", "--help"])
    assert "il-ros episodes recover 12" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["plot", "info", "replay"])
def test_a_folder_of_episodes_or_without_a_bag_is_no_episode(tmp_path, capsys, verb):
    episode = made.write(tmp_path / "episodes", made.recorded(4))
    assert main(["episodes", verb, str(tmp_path / "episodes")]) == 1
    said = f"{tmp_path / 'episodes'}: holds episodes; name one of them, such as {episode}"
    assert f"il-ros episodes {verb}: {said}" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    main(["episodes", verb, str(tmp_path / "empty")])  # info shows what it is
    told = capsys.readouterr()
    assert (
        f"{tmp_path / 'empty'}: holds no bag; a rosbag2 folder has .mcap or .db3 files" in told.out + told.err
    )
