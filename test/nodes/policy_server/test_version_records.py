"""The policy server's version.json records, and the targets of roll-backs, on a real graph."""

from dataclasses import replace

import made_versions as made
from announced_versions import LONG_S, PromotionRig

from il_ros.policies import lineage

WRONG = (0.75, -0.5)


def rewrite(run, **changes):
    lineage.write(run, replace(lineage.read(run), **changes))


def states(rig, *names):
    return [lineage.read(rig.folder / name).state for name in names]


def reloaded(rig, run):
    """Reload a version; return the verdict once it is in control."""
    count = len(rig.verdicts)
    rig.reload(run)
    rig.graph.until(lambda: len(rig.verdicts) > count, "the verdict on an order", LONG_S)
    assert rig.verdicts[-1]["verdict"]["reason"] == "reloaded"
    return rig.verdicts[-1]


def test_after_a_reload_of_the_driving_version_a_roll_back_leads_to_the_previous_one(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    rig.judged(2)
    assert reloaded(rig, rig.folder / "v2")["before"] == ["v1"]
    assert rig.roll_back() == "version v1 in control again, v2 rolled back: requested"
    assert states(rig, "v1", "v2") == ["active", "rolled back"]


def test_a_reloaded_older_version_is_no_longer_among_the_previous_ones(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    rig.judged(2)
    rig.judged(3)
    assert reloaded(rig, rig.folder / "v1")["before"] == ["v2", "v3"]
    assert states(rig, "v1", "v2", "v3") == ["active", "replaced", "replaced"]


def test_a_bad_version_that_a_server_starts_with_stays_bad(graph, tmp_path):
    run = made.version(tmp_path / "policies", 1)
    rewrite(run, state="rolled back", reason="requested")
    rig = PromotionRig(graph, tmp_path, first=None, checkpoint=str(run))
    rig.judged(2)
    assert states(rig, "v1", "v2") == ["rolled back", "active"]
    rig.roll_back()
    assert rig.node.status().values["version"] == "v1"
    assert (lineage.read(run).state, lineage.read(run).reason) == ("rolled back", "requested")
    assert lineage.newest_good(rig.folder) is None


def test_a_reloaded_bad_version_drives_and_stays_bad(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2, WRONG)
    rig.announce(run)
    reason = rig.verdict("v2")["verdict"]["reason"]
    assert reloaded(rig, run)["version"] == "v2"
    assert states(rig, "v1", "v2") == ["replaced", "refused"]
    rig.roll_back()
    assert (lineage.read(run).state, lineage.read(run).reason) == ("refused", reason)


def test_a_verdict_keeps_a_versions_driving_record(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2, WRONG)
    rewrite(run, driven_s=600.0, interventions=12)
    rig.announce(run)
    assert rig.verdict("v2")["verdict"]["state"] == "refused"
    after = lineage.read(run)
    assert (after.state, after.driven_s, after.interventions) == ("refused", 600.0, 12)
