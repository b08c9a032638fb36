"""`il-ros policy rollback` beside a running policy server, on a real graph."""

import threading

import made_versions as made
import pytest
from announced_versions import LONG_S, PromotionRig
from std_srvs.srv import Trigger

from il_ros.cli.main import main
from il_ros.policies import lineage


@pytest.fixture
def go_back(graph, capsys):
    """Return a function that runs the command while the graph spins; it returns exit status and output."""

    def run(*words):
        done = []
        command = threading.Thread(target=lambda: done.append(main(["policy", "rollback", *map(str, words)])))
        command.start()
        graph.until(lambda: not command.is_alive(), "the command", LONG_S)
        printed = capsys.readouterr()
        return done[0], printed.out + printed.err

    return run


def started(graph, tmp_path, *parents):
    """Return a server that was started with the last of the versions v1, v2, ... with these parents."""
    folder = tmp_path / "policies"
    for number, parent in enumerate(parents, 1):
        run = made.version(folder, number, held_out=["episode_000002"], parent=parent)
    return PromotionRig(graph, tmp_path, first=None, checkpoint=str(run))


def in_control(rig):
    return rig.node.status().values["version"]


def test_a_server_that_was_just_started_loads_the_version_before_its_own(graph, tmp_path, go_back):
    rig = started(graph, tmp_path, "", "v1", "v2")
    status, printed = go_back(rig.folder)
    assert (status, in_control(rig)) == (0, "v2")
    assert "v3 was active; now it is rolled back." in printed
    assert "v3 descends from it: v2 <- v3." in printed
    assert "The running policy server drives with v2." in printed
    told = {name: lineage.read(rig.folder / name) for name in ("v1", "v2", "v3")}
    assert {name: each.state for name, each in told.items()} == {
        "v1": "trained", "v2": "active", "v3": "rolled back",
    }  # fmt: skip
    assert told["v2"].reason == "after the roll-back of v3"
    rig.announce(rig.folder / "v3")
    graph.spin(0.5)
    assert in_control(rig) == "v2"


def test_a_server_goes_back_to_a_chosen_version_past_one_that_it_has_in_memory(graph, tmp_path, go_back):
    rig = started(graph, tmp_path, "", "v1")
    rig.judged(3)
    assert in_control(rig) == "v3"
    status, printed = go_back("--to", "v1", rig.folder)
    assert (status, in_control(rig)) == (0, "v1")
    assert "v2 was replaced; now it is rolled back." in printed
    answer = graph.call("policy_server/rollback", Trigger)
    assert (answer.success, answer.message) == (False, "there is no previous version to go back to")
    assert in_control(rig) == "v1"


def test_the_service_loads_the_version_before_where_none_is_in_memory(graph, tmp_path):
    rig = started(graph, tmp_path, "", "v1")
    assert rig.roll_back() == "v2 rolled back: requested; loading v1, until then v2 stays in control"
    graph.until(lambda: in_control(rig) == "v1", "v1 in control", LONG_S)
    assert lineage.read(rig.folder / "v2").state == "rolled back"


def test_a_version_before_that_cannot_be_loaded_leaves_the_other_in_control(
    graph, tmp_path, go_back, monkeypatch
):
    monkeypatch.setattr("il_ros.cli.policy.command.ROLLBACK_S", 3.0)
    rig = started(graph, tmp_path, "", "v1")
    (rig.folder / "v1" / "checkpoint" / "model.safetensors").write_bytes(b"")
    status, printed = go_back(rig.folder)
    assert (status, in_control(rig)) == (1, "v2")
    assert "the policy server still drives with v2 after 3 s; its log says why" in printed
    assert rig.verdict("v1")["verdict"]["state"] == "refused"


def test_a_rolled_back_version_that_a_person_loads_stays_until_it_is_rolled_back_again(
    graph, tmp_path, go_back
):
    folder = tmp_path / "policies"
    for number in (1, 2):
        run = made.version(folder, number)
    lineage.roll_back(run, "by a person")
    rig = PromotionRig(graph, tmp_path, first=None, checkpoint=str(run))
    graph.spin(1.5)  # it looks once a second
    assert in_control(rig) == "v2"
    assert go_back(folder)[0] == 0
    assert in_control(rig) == "v1"
