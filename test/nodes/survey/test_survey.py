"""A contract drafted from a live graph passes its own check there, and an episode of that robot trains under it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sim_node

from il_ros.cli import main as cli
from il_ros.core import contract
from il_ros.envs.experts import expert_of
from il_ros.envs.tasks import make_any_task
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate


def ran(graph, *words):
    """Run il-ros beside the graph's nodes; return its exit status."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(cli.main, list(words))
        graph.until(running.done, "the command")
        return running.result()


@pytest.mark.parametrize("task", ["push", "drive"])
def test_a_drafted_contract_passes_its_check_and_trains(task, graph, tmp_path, capfd):
    sim_node.started(graph, task=task)
    file = tmp_path / "drafted.yaml"
    assert ran(graph, "contract", "from-graph", "-o", str(file), "--seconds", "3") == 0
    made = contract.load(file)
    capfd.readouterr()
    status = ran(graph, "contract", "check", str(file), "--seconds", "3")
    assert status == 0, capfd.readouterr().out
    own = contract.find("arm_push" if task == "push" else "drive")
    assert {spec.topic for spec in own.observations} <= {spec.topic for spec in made.observations}
    assert {each.topic: each.names for each in made.actions} == {
        each.topic: each.names for each in own.actions
    }
    world, _ = make_any_task(task, made)  # recorded under the draft
    with closing(world):
        list(
            demonstrate(
                TaskEpisodes(world, made, tmp_path / "episodes"), expert_of("scripted", world, made), range(2)
            )
        )
    checkpoint = tmp_path / "checkpoint"
    words = ["--contract", str(file), "--set", "epochs=1", "--set", "policy.hidden=[8]"]
    assert cli.main(["train", str(tmp_path / "episodes"), "--out", str(checkpoint), *words]) == 0


def test_a_contract_of_another_robot_fails_line_by_line(graph, capfd):
    sim_node.started(graph, task="drive")
    assert ran(graph, "contract", "check", "arm_push", "--seconds", "1") == 1
    printed = capfd.readouterr().out
    assert "/joint_states: no publisher" in printed
    assert "/arm_position_controller/commands: no subscriber" in printed


def test_an_empty_graph_is_one_sentence(graph, capfd):
    assert ran(graph, "contract", "from-graph", "--seconds", "0.5") == 1
    assert "so there is nothing to command; start the robot's controllers" in capfd.readouterr().err
