"""`il-ros migrate`: files of version 0.1.0 and made ones, their diffs, and what is left to a person."""

import shutil
from pathlib import Path

import pytest

from il_ros.cli.main import main
from il_ros.cli.migrate.migration import migrate_text
from il_ros.core import contract as contracts
from il_ros.scenarios import parameter_file
from il_ros.scenarios.node_parameters import FORMER
from il_ros.training import recipe as recipes

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

PARAMETERS = """\
# mine
policy_server:
  ros__parameters:
    gate.latency: 0.4          # in periods
    "gate.root": episodes      # quoted
    checkpoint: fold   # kept
/left/dagger_supervisor:
  ros__parameters: {dagger: {beta: "constant:0.3", asked: 0.5}, mode: dagger}
"""
TODAY = """\
# mine
policy_server:
  ros__parameters:
    promotion.latency: 0.4     # in periods
    "promotion.root": episodes      # quoted
    checkpoint: fold   # kept
/left/dagger_supervisor:
  ros__parameters: {dagger: {beta: "constant:0.3", queried: 0.5}, mode: dagger}
"""


def migrate(text, name="my.yaml"):
    return migrate_text(text, Path(name))


def told(capsys, *words):
    """Return the exit status, and what was printed."""
    status = main(["migrate", *map(str, words)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_only_former_names_change():
    assert migrate(PARAMETERS).after == TODAY
    assert migrate(PARAMETERS).problems == ()


def test_every_shipped_file_of_the_first_version_is_readable_afterwards(tmp_path, capsys):
    folder = shutil.copytree(GOLDEN / "config", tmp_path / "config")
    status, shown, _ = told(capsys, folder)
    assert status == 1
    assert shown.count("\n+++ ") + shown.startswith("+++ ") == 6  # two parameter files, four recipes
    assert "-      asked: 1.0 " in shown
    assert "+      queried: 1.0 " in shown
    assert {each.read_bytes() for each in folder.rglob("*.yaml")} == {
        each.read_bytes() for each in (GOLDEN / "config").rglob("*.yaml")
    }
    assert told(capsys, folder, "--write", "--no-backup")[0] == 0
    for file in (folder / "contracts").iterdir():
        assert contracts.load(file).hash == contracts.load(GOLDEN / "config" / "contracts" / file.name).hash
    for file in (folder / "training").iterdir():
        assert recipes.load(file).training.uncertainty == "raw"
    names = {entry.name for file in (folder / "nodes").iterdir() for entry in parameter_file.read(file)}
    assert "promotion.shadow_ticks" in names
    assert not names & {old for each in FORMER.values() for old in each}


def test_a_second_run_changes_nothing(tmp_path, capsys):
    file = tmp_path / "my.yaml"
    file.write_text(PARAMETERS)
    file.chmod(0o640)
    assert told(capsys, file, "--write")[0] == 0
    after = file.read_text()
    assert (tmp_path / "my.yaml.orig").read_text() == PARAMETERS
    assert file.stat().st_mode & 0o777 == 0o640
    status, shown, _ = told(capsys, file, "--write")
    assert (status, shown) == (0, "1 file of il_ros: 1 as it is\n")
    assert file.read_text() == after
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my.yaml", "my.yaml.orig"]


def test_a_former_copy_is_not_replaced(tmp_path, capsys):
    file = tmp_path / "my.yaml"
    file.write_text(PARAMETERS)
    (tmp_path / "my.yaml.orig").write_text("older")
    assert told(capsys, file, "--write")[0] == 0
    assert (tmp_path / "my.yaml.orig").read_text() == "older"
    assert (tmp_path / "my.yaml.orig.2").read_text() == PARAMETERS


def test_a_link_stays_a_link(tmp_path, capsys):
    file = tmp_path / "real.yaml"
    file.write_text(PARAMETERS)
    (tmp_path / "link.yaml").symlink_to(file)
    assert told(capsys, tmp_path / "link.yaml", "--write", "--no-backup")[0] == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert "promotion.latency" in file.read_text()


def test_line_ends_and_a_byte_order_mark_stay():
    text = "\ufeff" + PARAMETERS.replace("\n", "\r\n")
    after = migrate(text).after
    assert after.startswith("\ufeff# mine\r\n")
    assert after.count("\r\n") == text.count("\r\n")
    assert "    promotion.latency: 0.4     # in periods\r\n" in after


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "policy_server:\n  ros__parameters:\n    gate.root: a\n    promotion.root: b\n",
            "my.yaml:3: policy_server: gate.root: is called promotion.root now, which is given in line 4, too",
        ),
        (
            "policy_server:\n  ros__parameters:\n    gate:\n      root: a\n      width: 3\n",
            "my.yaml:3: policy_server: gate: 'gate' stands above gate.width, too, so it stays",
        ),
        (
            "my_server:\n  ros__parameters:\n    gate.root: a\n",
            "my.yaml:3: my_server: gate.root: is called promotion.root now if my_server is a policy_server",
        ),
        (
            "policy_server:\n  ros__parameters:\n    chekpoint: a\n",
            "my.yaml:3: node /policy_server: there is no parameter chekpoint; is checkpoint meant?",
        ),
        (
            "/**/trainer:\n  ros__parameters:\n    checkpoint: /data/fold\n",
            "my.yaml:3: trainer: checkpoint: is /data/fold, but policy_server takes announced checkpoints only from",
        ),
        (
            "training:\n  doubt: own\n  uncertainty: raw\n",
            "my.yaml:2: training: doubt: is called uncertainty now, which is given in line 3, too; remove one of them",
        ),
        ("training: {epoch: 5}\n", "my.yaml: training: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            "name: a\nrate_hz: 0\nobservations: {}\nactions: {}\n",
            "my.yaml:2: rate_hz: must be above 0, not 0",
        ),
    ],
)
def test_what_cannot_be_settled_is_named(text, problem):
    made = migrate(text)
    assert made.after == text
    assert str(made.problems[0]).startswith(problem)
    assert len(made.problems) == 1


def test_two_blocks_that_would_have_one_name_stay():
    text = "policy_server:\n  ros__parameters:\n    gate:\n      root: a\n    promotion:\n      slack: 0.1\n"
    made = migrate(text)
    assert made.after == text
    (problem,) = map(str, made.problems)
    assert (
        problem
        == "my.yaml:3: gate: is called promotion now, and a section promotion stands beside it; join the two"
    )


def test_changes_of_a_recipe_in_a_parameter_file_are_recipe_words():
    text = "trainer:\n  ros__parameters:\n    changes: [epochs=5, 'doubt=own', training.doubt=own]\n"
    assert migrate(text).after == text.replace("doubt=", "uncertainty=")


def test_a_parameter_of_another_package_stays():
    text = "/**/gatekeeper:\n  ros__parameters:\n    gate: {width: 1.0}\n    dagger.kept: true\n"
    assert (migrate(text).after, migrate(text).problems) == (text, ())


LAUNCH = """\
from launch.actions import IncludeLaunchDescription
share = get_package_share_directory("il_ros")
actions = [
    IncludeLaunchDescription(share + "/launch/train.launch.py",
        launch_arguments={"checkpoint": "policies", "root": "episodes"}.items()),
    IncludeLaunchDescription(share + "/launch/record.launch.py", launch_arguments=[("parameters", "my.yaml")]),
    Node(package="other", parameters=[{"rate": 5}]),
]
"""


def test_former_launch_arguments_are_named_and_stay():
    made = migrate(LAUNCH, "my.launch.py")
    assert not made.changed
    assert [(each.line, each.field) for each in made.problems] == [(5, "checkpoint"), (6, "parameters")]
    assert "of train.launch.py is called policies:= now" in made.problems[0].sentence


def test_a_former_argument_is_named_in_xml():
    text = '<include file="$(find-pkg-share il_ros)/launch/deploy.launch.py">\n\n<arg name="parameters" value="a"/>'
    (problem,) = migrate(text, "my.launch.xml").problems
    assert (problem.line, problem.field) == (3, "parameters")
    assert migrate(text.replace("parameters", "params_file"), "my.launch.xml").problems == ()
    assert (
        migrate(text.replace("deploy", "train").replace("parameters", "policies"), "a.launch.xml").problems
        == ()
    )


def test_recordings_and_checkpoints_stay(tmp_path, capsys):
    shutil.copytree(GOLDEN / "checkpoint" / "v1", tmp_path / "policies" / "v1")
    shutil.copytree(GOLDEN / "episodes" / "drive", tmp_path / "episodes")
    status, shown, _ = told(capsys, tmp_path, "--write")
    assert status == 0
    assert "2 folders of recordings and checkpoints" in shown
    assert not list(tmp_path.rglob("*.orig"))


def test_files_of_others_are_refused_when_given_and_passed_over_when_found(tmp_path, capsys):
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    (tmp_path / "two.yaml").write_text("a: 1\n---\nb: 2\n")
    (tmp_path / "mine.yaml").write_text("training: [\n")
    status, shown, errors = told(capsys, tmp_path)
    assert (status, shown) == (1, "0 files of il_ros\n")
    assert errors.startswith(f"to settle: {tmp_path / 'mine.yaml'}: not YAML")
    assert errors.count("to settle") == 1
    status, _, errors = told(capsys, tmp_path / "compose.yaml")
    assert status == 1
    assert "is no file of il_ros: a contract has observations and actions" in errors


def test_a_path_that_does_not_exist_is_named(tmp_path, capsys):
    status, _, errors = told(capsys, tmp_path / "none.yaml")
    assert status == 1
    assert errors == f"il-ros migrate: {tmp_path / 'none.yaml'}: there is no such file or folder\n"


def test_a_folder_without_permission_keeps_the_file(tmp_path, capsys, monkeypatch):
    file = tmp_path / "my.yaml"
    file.write_text(PARAMETERS)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("il_ros.core.atomic.write_text", full)
    status, _, errors = told(capsys, file, "--write")
    assert status == 1
    assert "cannot be written: [Errno 28] No space left on device" in errors
    assert file.read_text() == PARAMETERS
