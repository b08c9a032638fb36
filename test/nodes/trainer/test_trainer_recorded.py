"""The trainer with a recipe of own steps: a clone first, then reinforcement learning from what was driven."""

import made_versions as made
from watched_episodes import Watched

from il_ros.policies import checkpoint, lineage
from il_ros.rl.recorded import earlier_state

QUICK = [
    *("policy.hidden=[8]", "agent.hidden=8", "frozen_steps=5", "batch=4", "ahead=2", "updates=2"),
    *("seeds=1", "random_steps=0"),
]


def test_it_clones_then_learns_from_who_drove_and_from_the_verdict_and_goes_on_from_its_critics(
    graph, tmp_path
):
    trainer = Watched(graph, tmp_path, changes=QUICK, recipe="residual")
    trainer.until("announced")
    first = checkpoint.load(trainer.versions / "v1")
    assert (first.family, first.settings.hidden) == ("actor", (8,))
    made.episode(trainer.root, 3, ticks=20, taken_over_at=12, outcome="success")
    began = trainer.until("began", 2)
    assert (began["version"], began["parent"]) == ("v2", "v1")
    assert began["why"] == "corrected: episode_000003; 20 new labels", "the policy's ticks count, too"
    assert "--recipe residual" in began["command"]
    assert began["command"].endswith(f"--recorded --from {trainer.versions / 'v1'}")
    trainer.until("announced", 2)
    second = checkpoint.load(trainer.versions / "v2")
    assert (second.family, second.metrics["parent"]) == ("guided", "v1")
    assert second.metrics["outcomes"] == {"success": 3, "failure": 0, "unmarked": 0}
    assert (second.metrics["new_steps"], second.metrics["updates"]) == (60, 5 + 2 * 60)
    assert int(earlier_state(trainer.versions / "v2")["updates"]) == 125
    made.episode(trainer.root, 4, ticks=10, taken_over_at=6, outcome="unmarked")
    trainer.until("announced", 3)
    third = lineage.read(trainer.versions / "v3")
    assert (third.parent, third.metrics["new_steps"], third.metrics["updates"]) == ("v2", 9, 125 + 2 * 9)
    assert third.metrics["outcomes"] == {"success": 3, "failure": 0, "unmarked": 1}
