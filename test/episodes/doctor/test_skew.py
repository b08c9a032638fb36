"""`doctor --policy`: takes that are not what the policy was trained on, each fault planted and found."""

import dataclasses

import numpy as np
import pytest
from made_episodes import CONTRACT as RECORDED
from made_episodes import recorded, write
from made_takes import NUMBERS, PICTURES, TICKS, clean, planted, seen

from il_ros.cli import main as cli
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.episodes.doctor.camera_view import HEIGHT, VIEWS, WIDTH, CameraView, view_of
from il_ros.episodes.doctor.examination import examine
from il_ros.episodes.doctor.findings import Check, Severity
from il_ros.episodes.doctor.skew import skew
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

TRAINED = 12
RECIPE = changed(
    Recipe("bc"),
    ["epochs=1", "hidden=[8]", "channels=[4]", "batch_size=512", "validation=0", "still_every=1"],
)


def background(joints):
    """Pictures (T, 24, 32, 3) of a fixed scene, in which a bright bar moves with joint a."""
    rows, columns = np.mgrid[:24, :32]
    scene = 90 + 40 * np.sin(0.5 * columns + 0.2 * rows) + 30 * np.cos(0.7 * rows)
    out = np.repeat(scene[None, :, :, None], len(joints), axis=0)
    for frame, angle in zip(out, joints[:, 0], strict=True):
        frame[4:9, int(10 + 8 * angle)] = 250
    return np.repeat(out, 3, axis=3).astype(np.uint8)


def takes_of(own):
    takes = clean(own, count=TRAINED + 6)
    if own is PICTURES:
        takes = planted(
            takes, range(TRAINED + 6), lambda e: seen(e, "camera", background(e.observations["joints"]))
        )
    return takes


@pytest.fixture(scope="module", params=[NUMBERS, PICTURES], ids=["numbers", "pictures"])
def trained(request, tmp_path_factory):
    """A policy that was trained on the first takes, and the others."""
    return made(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def with_camera(tmp_path_factory):
    return made(PICTURES, tmp_path_factory)


def made(own, tmp_path_factory):
    takes = takes_of(own)
    # gripper-like: a number that never moves in the demonstrations
    still = planted(takes, range(TRAINED + 6), lambda e: seen(e, "object", _flat(e.observations["object"])))
    shown, now = still.episodes[:TRAINED], still.episodes[TRAINED:]
    summary = DatasetSummary(tuple(e.name for e in shown), (), TRAINED * TICKS, {}, ())
    out = tmp_path_factory.mktemp("policy")
    policy = train(Dataset(own, shown, (), summary), RECIPE, out).policy
    return policy, dataclasses.replace(still, episodes=now)


def _flat(values):
    values = values.copy()
    values[:, 2] = 0.4
    return values


def everywhere(takes, key, change):
    return planted(
        takes, range(len(takes.episodes)), lambda e: seen(e, key, change(e.observations[key].copy()))
    )


def moved_by(column, distance):
    def change(values):
        values[:, column] += distance
        return values

    return change


def test_takes_of_the_same_kind_are_known_to_the_policy(trained):
    policy, now = trained
    assert [each.what for each in skew(now, policy)] == []


def test_a_constant_number_that_was_moved_by_two_centimetres_is_found(trained):
    policy, now = trained
    (finding,) = skew(everywhere(now, "object", moved_by(2, 0.02)), policy)
    assert finding.severity is Severity.FAULT
    assert finding.what.startswith(
        "object/position.z is outside what the policy was trained on in 100 % of the frames"
    )


def test_a_change_from_radians_to_degrees_is_found_in_every_joint(trained):
    policy, now = trained
    found = [each.what for each in skew(everywhere(now, "joints", np.degrees), policy)]
    assert [what.partition(" is outside")[0] for what in sorted(found)] == [
        "joints/position/a",
        "joints/position/b",
    ]


def test_a_change_to_a_larger_unit_is_found_by_the_motion_that_is_gone(trained):
    """In kilometres all values are within the range that was shown in metres, about zero."""
    policy, now = trained
    found = skew(everywhere(now, "joints", lambda values: values / 1000), policy)
    assert [each.what.partition(" of what")[0] for each in found] == [
        "joints/position/a varies by 0 %",
        "joints/position/b varies by 0 %",
    ]


def test_one_take_alone_may_show_one_case_only(trained):
    policy, now = trained
    one = dataclasses.replace(now, episodes=now.episodes[:1])
    assert skew(everywhere(one, "joints", lambda values: values / 1000), policy) == []


@pytest.mark.parametrize(
    ("pixels", "axis", "words"), [(2, 2, "6 % of its width to the right"), (-2, 1, "% of its height up")]
)
def test_a_camera_that_was_turned_is_found_with_its_shift(with_camera, pixels, axis, words):
    policy, now = with_camera
    found = skew(everywhere(now, "camera", lambda frames: np.roll(frames, pixels, axis=axis)), policy)
    (finding,) = found
    assert (finding.check, finding.severity) == (Check.SKEW, Severity.FAULT)
    assert finding.what.startswith("Camera camera shows the scene ")
    assert words in finding.what
    assert finding.picture.captions == ("in training", now.episodes[0].name)


def test_a_camera_in_another_light_is_found(with_camera):
    policy, now = with_camera
    (finding,) = skew(everywhere(now, "camera", lambda frames: frames // 2), policy)
    assert finding.what.startswith("Camera camera shows another background (by ")


def test_a_policy_without_views_judges_numbers_only(with_camera):
    policy, now = with_camera
    for damage in ({}, {VIEWS: 5}, {VIEWS: {"camera": {"mean": "no picture", "deviation": "", "usual": 1}}}):
        metrics = {key: value for key, value in policy.metrics.items() if key != VIEWS} | damage
        older = dataclasses.replace(policy, metrics=metrics)
        assert skew(everywhere(now, "camera", lambda frames: frames // 2), older) == []
        assert skew(everywhere(now, "object", moved_by(2, 0.02)), older)


def test_a_view_is_kept_as_text_to_half_a_grey_value():
    view = view_of(
        [np.random.default_rng(n).integers(0, 256, (4, 30, 40, 3)).astype(np.uint8) for n in range(3)]
    )
    again = CameraView.from_plain(view.to_plain())
    assert again.mean.shape == again.deviation.shape == (HEIGHT, WIDTH)
    assert np.abs(again.mean - view.mean).max() <= 0.5
    assert np.abs(again.deviation - view.deviation).max() <= 0.5
    assert again.usual == view.usual


def test_findings_of_the_policy_are_among_those_of_the_doctor(trained):
    policy, now = trained
    changed_takes = everywhere(now, "object", moved_by(2, 0.02))
    assert Check.SKEW in {each.check for each in examine(changed_takes, policy)}
    assert Check.SKEW not in {each.check for each in examine(changed_takes)}


# ---- the command, on recorded bags


def test_the_command_compares_a_recording_with_the_checkpoint(tmp_path, capsys):
    """Joints a and b are at 0 to 19 when training, and at 300 to 319 in the later recording."""
    for number in range(1, 7):
        write(tmp_path / "shown", recorded(20), number)
    dataset = Dataset.open(tmp_path / "shown", RECORDED, validation=0)
    train(dataset, changed(RECIPE, ["inputs=[joints]"]), tmp_path / "policy", version="v1")
    for number in range(1, 7):
        write(tmp_path / "now", recorded(320)[300 * 5 :], number)
    words = ["episodes", "doctor", "--policy", str(tmp_path / "policy")]
    assert cli.main([*words, str(tmp_path / "now")]) == 1
    printed = capsys.readouterr().out
    assert "joints/position/a is outside what the policy was trained on in 100 % of the frames" in printed
    assert cli.main([*words, str(tmp_path / "shown")]) in (0, 1)
    assert "what the policy was trained on" not in capsys.readouterr().out


def test_a_folder_without_a_checkpoint_is_one_sentence(tmp_path, capsys):
    write(tmp_path / "shown", recorded(5), 1)
    assert cli.main(["episodes", "doctor", str(tmp_path / "shown"), "--policy", str(tmp_path)]) == 1
    assert "holds no checkpoint" in capsys.readouterr().err
