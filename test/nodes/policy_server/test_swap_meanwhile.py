"""Events during an examination: another policy takes control, or a version is announced again."""

import threading

import made_versions as made
import pytest
from announced_versions import LONG_S, PromotionRig
from std_msgs.msg import String

from il_ros.core import contract
from il_ros.interactive.promotion.examination import load_requested
from il_ros.nodes.policy_server import candidates
from il_ros.policies import checkpoint
from il_ros.policies.versions import CHECKPOINT

WRONG, LESS_WRONG = (0.75, -0.5), (0.6, -0.5)


def reconfigure(rig):
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    rig.choose(rig.folder / "v1")
    rig.node.trigger_configure()
    rig.node.trigger_activate()


class Beside:
    """v1 is right; v2 is wrong and in control by ~/reload; v3 is less wrong and runs in shadow of v2."""

    def __init__(self, graph, tmp_path):
        self.rig = rig = PromotionRig(graph, tmp_path, promotion__shadow_ticks=5, promotion__shadow_s=LONG_S)
        rig.reload(rig.version(2, WRONG))
        rig.verdict("v2")
        rig.announce(rig.version(3, LESS_WRONG))
        graph.until(lambda: rig.node._candidates.shadow.active, "v3 in shadow", LONG_S)

    def tick(self):
        made.Robot(self.rig.graph).ready().run()


@pytest.fixture
def beside(graph, tmp_path):
    return Beside(graph, tmp_path)


@pytest.mark.parametrize("way", [PromotionRig.roll_back, reconfigure])
def test_a_candidate_is_examined_again_when_another_policy_took_control(beside, way):
    way(beside.rig)
    beside.tick()
    verdict = beside.rig.verdict("v3")
    assert verdict["version"] == "v1"
    assert verdict["verdict"]["state"] == "refused"
    assert "held-out episodes is 0.1750, the driving policy's 0.0000" in verdict["verdict"]["reason"]


def test_a_candidate_is_dropped_for_a_newer_one_when_another_policy_took_control(beside):
    beside.rig.node._candidates._on_announced(String(data=str(beside.rig.version(4))))
    beside.rig.roll_back()
    beside.tick()
    assert beside.rig.verdict("v4")["before"] == ["v1"]
    assert "v3" not in [each["verdict"]["version"] for each in beside.rig.verdicts]


def test_a_reloaded_version_must_match_the_contract_of_the_policy_that_took_control_meanwhile(
    graph, tmp_path, monkeypatch
):
    rig, configured = PromotionRig(graph, tmp_path), threading.Event()

    def late(*words):
        found = load_requested(*words)
        assert configured.wait(LONG_S)
        return found

    monkeypatch.setattr(candidates, "load_requested", late)
    rig.reload(rig.version(2))
    faster = contract.parse(made.TEXT.replace("rate_hz: 20", "rate_hz: 40"), "faster")
    checkpoint.save(rig.folder / "v1" / CHECKPOINT, made.constant_policy(faster, made.RIGHT, "v1"))
    reconfigure(rig)
    configured.set()
    assert "its contract differs" in rig.verdict("v2")["verdict"]["reason"]


def test_a_version_announced_twice_is_examined_once_and_a_roll_back_leads_to_the_previous_one(
    graph, tmp_path
):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2)
    for _ in range(2):
        rig.node._candidates._on_announced(String(data=str(run)))
    rig.verdict("v2")
    rig.judged(3)
    assert [each["verdict"]["version"] for each in rig.verdicts] == ["v1", "v2", "v3"]
    assert rig.verdict("v3")["before"] == ["v1", "v2"]
