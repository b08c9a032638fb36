"""Promotion on a real graph: policies are swapped in between ticks, refused or rolled back."""

import made_versions as made
import pytest
from announced_versions import LONG_S, STRING, PromotionRig
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.nodes.policy_server import candidates
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.policies import lineage
from il_ros.policies.versions import CHECKPOINT
from il_ros.records.decision import from_json


def test_a_better_policy_is_swapped_in_and_no_tick_is_missed(graph, tmp_path):
    rig = PromotionRig(
        graph, tmp_path, first=(0.5, -0.5), promotion__shadow_ticks=5, promotion__shadow_s=LONG_S
    )
    (tmp_path / "contract.yaml").write_text(made.TEXT)
    graph.start(
        DaggerSupervisor,
        contract=str(tmp_path / "contract.yaml"),
        mode="policy",
        discovery_s=0.1,
        policy__timeout_s=5.0,
        policy__max_age_s=5.0,
    )
    texts = graph.received("dagger_supervisor/decision", STRING, 200)
    robot = made.Robot(graph).ready()
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 5, "ticks")
    verdict = rig.judged(2)
    count = len(robot.proposals)
    graph.until(lambda: len(robot.proposals) >= count + 5, "ticks")
    robot.rest()
    assert (verdict["state"], verdict["reason"]) == ("active", "promoted")
    checks = verdict["checks"]
    held_out = checks["held_out"]
    assert held_out["episodes"] == ["episode_000002"]
    assert (held_out["error"], held_out["driving_error"]) == (
        pytest.approx(0.0, abs=1e-6),
        pytest.approx(0.125, abs=1e-6),  # 0.25 of one joint of two
    )
    assert checks["shadow_difference"] == pytest.approx(0.125, abs=1e-6)
    proposals = robot.proposals
    begun = [stamp for stamp in robot.stamps if stamp >= proposals[0].stamp_ns]
    assert [each.stamp_ns for each in proposals] == begun  # one for each tick
    versions = [each.version for each in proposals]
    assert versions == sorted(versions)
    assert set(versions) == {"v1", "v2"}
    for each in proposals:
        assert each.chunk[0][0] == pytest.approx({"v1": 0.5, "v2": 0.25}[each.version])
    decided = [from_json(message.data) for message in texts]
    by_stamp = {each.stamp_ns: each.version for each in proposals}
    pairs = [(by_stamp[each.stamp_ns], each.version) for each in decided if each.stamp_ns in by_stamp]
    assert {"v1", "v2"} <= {version for _, version in pairs}
    assert all(
        mine == theirs for mine, theirs in pairs
    )  # the record names the proposing version, also across the swap
    states = [lineage.read(rig.folder / name).state for name in ("v1", "v2")]
    assert states == ["replaced", "active"]
    assert lineage.read(rig.folder / "v2").checks["held_out"] == held_out


def test_a_worse_policy_is_refused_with_its_errors_and_not_examined_again(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    verdict = rig.judged(2, (0.75, -0.5))
    assert verdict["state"] == "refused"
    assert "its error on held-out episodes is 0.2500, the driving policy's 0.0000" in verdict["reason"]
    record = lineage.read(rig.folder / "v2")
    assert (record.state, record.reason) == ("refused", verdict["reason"])
    assert "v2 refused" in rig.node.status().values["last verdict"]
    count = len(rig.verdicts)
    rig.announce(rig.folder / "v2")
    assert rig.judged(3)["state"] == "active"  # a later version is examined
    assert len(rig.verdicts) == count + 1
    assert rig.node.status().values["version"] == "v3"


def test_during_an_examination_only_the_newest_announced_version_waits(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    for run in [rig.version(number) for number in (2, 3, 4)]:
        rig.node._candidates._on_announced(String(data=str(run)))
    rig.verdict("v4")
    assert [each["verdict"]["version"] for each in rig.verdicts] == ["v1", "v2", "v4"]
    assert rig.node.status().values["version"] == "v4"


def test_a_partial_checkpoint_is_refused_and_the_policy_stays(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2)
    weights = run / CHECKPOINT / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    rig.announce(run)
    assert "checksum" in rig.verdict("v2")["verdict"]["reason"]
    empty = rig.folder / "v3" / CHECKPOINT
    empty.mkdir(parents=True)
    rig.announce(empty.parent)
    assert "holds no checkpoint" in rig.verdict("v3")["verdict"]["reason"]
    assert rig.node.status().values["version"] == "v1"
    made.Robot(graph).ready().tick()


def test_a_fault_of_the_server_is_no_verdict_on_the_version(graph, tmp_path):
    """A server without a policy and with a wrong contract: with the right one it takes the same version."""
    file = tmp_path / "contract.yaml"
    file.write_text(made.TEXT.replace("rate_hz: 20", "rate_hz: 40"))
    rig = PromotionRig(graph, tmp_path, first=None, contract=str(file))
    run = rig.version(1)
    rig.announce(run)
    assert "rate_hz: 40.0 here, 20.0 there" in rig.verdict("v1")["verdict"]["reason"]
    file.unlink()
    rig.announce(run)
    graph.until(lambda: len(rig.verdicts) == 2, "the second verdict", LONG_S)
    assert rig.verdicts[-1]["verdict"]["state"] == "refused"
    assert lineage.read(run).state == "trained"
    file.write_text(made.TEXT)
    rig.announce(run)
    graph.until(lambda: rig.node.state == "active", "activation", LONG_S)


def test_a_failed_examination_is_no_verdict_on_the_version(graph, tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    rig = PromotionRig(graph, tmp_path)
    monkeypatch.setattr(candidates, "examine", exhausted)
    assert rig.judged(2)["reason"] == "its examination failed: MemoryError: "
    assert lineage.read(rig.folder / "v2").state == "trained"
    monkeypatch.undo()
    rig.announce(rig.folder / "v2")
    graph.until(lambda: rig.node.status().values["version"] == "v2", "v2 in control", LONG_S)


def test_a_slow_policy_is_refused(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path, promotion__latency=0.0)
    assert "its computing time is" in rig.judged(2)["reason"]


def test_a_policy_that_differs_too_much_in_shadow_is_refused(graph, tmp_path):
    rig = PromotionRig(
        graph,
        tmp_path,
        promotion__root="",
        promotion__shadow_ticks=3,
        promotion__shadow_s=LONG_S,
        promotion__disagreement=0.1,
    )
    robot = made.Robot(graph).ready()
    robot.run()
    reason = rig.judged(2, (0.27, -0.2))["reason"]
    robot.rest()
    # half of 0.02 and 0.3
    assert "in shadow is 0.16 over 3 ticks" in reason


def test_without_a_policy_the_first_promoted_one_starts(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path, first=None)
    assert rig.node.state == "unconfigured"
    rig.announce(rig.version(1))
    rig.verdict("v1")
    graph.until(lambda: rig.node.state == "active", "activation")
    robot = made.Robot(graph).ready()
    robot.tick()
    graph.until(lambda: robot.proposals, "a proposal")
    assert robot.proposals[0].version == "v1"


def test_a_roll_back_by_service_returns_to_the_previous_version_for_good(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    refused = graph.call("policy_server/rollback", Trigger)
    assert (refused.success, refused.message) == (False, "there is no previous version to go back to")
    rig.judged(2)
    answer = graph.call("policy_server/rollback", Trigger)
    assert answer.success
    assert answer.message == "version v1 in control again, v2 rolled back: requested"
    assert [lineage.read(rig.folder / name).state for name in ("v1", "v2")] == ["active", "rolled back"]
    count = len(rig.verdicts)
    rig.announce(rig.folder / "v2")
    rig.judged(3)
    assert len(rig.verdicts) == count + 1  # v2 was not examined again
    robot = made.Robot(graph).ready()
    robot.tick()
    graph.until(lambda: robot.proposals, "a proposal")
    assert robot.proposals[0].version == "v3"
