"""What the policy server writes into a version.json, and where a roll-back leads, on a real graph."""

from dataclasses import replace

import made_versions as made
from announced_versions import LONG_S, SafetyLimiter

from il_ros.policies import lineage

WRONG = (0.75, -0.5)


def told(run, **changes):
    lineage.write(run, replace(lineage.read(run), **changes))


def states(gate, *names):
    return [lineage.read(gate.folder / name).state for name in names]


def reloaded(gate, run):
    """Have a person order a version; return what is said once it is in control."""
    count = len(gate.verdicts)
    gate.reload(run)
    gate.graph.until(lambda: len(gate.verdicts) > count, "the verdict on an order", LONG_S)
    assert gate.verdicts[-1]["verdict"]["reason"] == "reloaded"
    return gate.verdicts[-1]


def test_from_a_version_that_is_reloaded_while_it_drives_a_roll_back_leads_to_the_one_before(graph, tmp_path):
    gate = SafetyLimiter(graph, tmp_path)
    gate.judged(2)
    assert reloaded(gate, gate.folder / "v2")["before"] == ["v1"]
    assert gate.roll_back() == "version v1 in control again, v2 rolled back: asked for"
    assert states(gate, "v1", "v2") == ["active", "rolled back"]


def test_an_older_version_that_is_reloaded_is_no_longer_among_those_before(graph, tmp_path):
    gate = SafetyLimiter(graph, tmp_path)
    gate.judged(2)
    gate.judged(3)
    assert reloaded(gate, gate.folder / "v1")["before"] == ["v2", "v3"]
    assert states(gate, "v1", "v2", "v3") == ["active", "replaced", "replaced"]


def test_a_bad_version_with_which_a_server_begins_stays_bad_whatever_comes_after(graph, tmp_path):
    run = made.version(tmp_path / "policies", 1)
    told(run, state="rolled back", reason="asked for")
    gate = SafetyLimiter(graph, tmp_path, first=None, checkpoint=str(run))
    gate.judged(2)
    assert states(gate, "v1", "v2") == ["rolled back", "active"]
    gate.roll_back()
    assert gate.node.status().values["version"] == "v1"
    assert (lineage.read(run).state, lineage.read(run).reason) == ("rolled back", "asked for")
    assert lineage.newest_good(gate.folder) is None


def test_a_bad_version_that_a_person_orders_drives_and_stays_bad(graph, tmp_path):
    gate = SafetyLimiter(graph, tmp_path)
    run = gate.version(2, WRONG)
    gate.announce(run)
    reason = gate.verdict("v2")["verdict"]["reason"]
    assert reloaded(gate, run)["version"] == "v2"
    assert states(gate, "v1", "v2") == ["replaced", "refused"]
    gate.roll_back()
    assert (lineage.read(run).state, lineage.read(run).reason) == ("refused", reason)


def test_a_verdict_leaves_what_is_told_of_a_versions_driving(graph, tmp_path):
    gate = SafetyLimiter(graph, tmp_path)
    run = gate.version(2, WRONG)
    told(run, driven_s=600.0, interventions=12)
    gate.announce(run)
    assert gate.verdict("v2")["verdict"]["state"] == "refused"
    after = lineage.read(run)
    assert (after.state, after.driven_s, after.interventions) == ("refused", 600.0, 12)
