"""`il-ros contract from-env`."""

import gymnasium
import pytest

from il_ros.cli import main as cli
from il_ros.core import contract
from il_ros.envs.from_env import contract_of


def test_the_printed_contract_is_the_one_that_the_other_commands_make(capsys):
    assert cli.main(["contract", "from-env", "Pendulum-v1"]) == 0
    with gymnasium.make("Pendulum-v1") as env:
        assert contract.parse(capsys.readouterr().out, "printed") == contract_of(env)


def test_it_is_written_once_and_not_replaced(tmp_path, capsys):
    file = tmp_path / "pole.yaml"
    command = ["contract", "from-env", "CartPole-v1", "--rate", "25", "-o", str(file)]
    assert cli.main(command) == 0
    made = contract.load(file)
    assert (made.rate_hz, made.actions[0].quantity, made.actions[0].size) == (25.0, "choice", 2)
    assert cli.main(command) == 1
    assert f"{file}: exists already; choose another file with --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rate", "0"], "the contract of CartPole-v1: rate_hz is 0; it must be above 0"),
        (["-o", "none/pole.yaml"], "none/pole.yaml: there is no folder none"),
    ],
)
def test_a_wrong_rate_or_place_is_named(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["contract", "from-env", "CartPole-v1", *words]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [("Nope-v1", "environment 'Nope-v1' is not known"), ("pendulum", "Did you mean: `Pendulum`")],
)
def test_an_unknown_environment_is_refused(name, message, capsys):
    assert cli.main(["contract", "from-env", name]) == 1
    assert message in capsys.readouterr().err
