"""What `il-ros train` says of the contract before own steps."""

import pytest

from il_ros.cli.main import main as il_ros
from il_ros.cli.train.own_steps import advised
from il_ros.core import contract, share

REACH = share.path("config", "contracts", "arm_reach.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (REACH, "arm, gripper"),
        (REACH.replace("mode: absolute", "mode: delta"), ""),  # of the arm only
        (share.path("config", "contracts", "drive.yaml").read_text(), ""),  # velocities
    ],
)
def test_delta_actions_are_advised_where_all_joint_positions_are_absolute(text, keys):
    assert advised(contract.parse(text, "own")).startswith(f"the actions {keys} are" if keys else "")
    assert bool(advised(contract.parse(text, "own"))) is bool(keys)


def test_the_advice_is_printed_and_followed_by_a_copy_of_the_contract(tmp_path, capsys):
    def said(*words):
        assert il_ros([str(word) for word in words]) == 0
        return capsys.readouterr().out

    episodes, own = tmp_path / "episodes", tmp_path / "delta.yaml"
    own.write_text(REACH.replace("mode: absolute", "mode: delta"))
    said("env", "record", "reach", "--episodes", 2, "--root", episodes)
    changes = ["steps=20", "random_steps=10", "every=20", "tests=1", "policy.hidden=[8]", "agent.hidden=8"]
    train = [
        "train",
        episodes,
        "--recipe",
        "sqil",
        *(word for change in changes for word in ("--set", change)),
    ]
    line = "warning: the actions arm, gripper are absolute positions, of whose range one step changes little;"
    assert line in said(*train, "--out", tmp_path / "absolute")
    assert "absolute positions" not in said(*train, "--out", tmp_path / "delta", "--contract", own)
