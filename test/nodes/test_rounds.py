"""Rounds of corrections through all the nodes, once, small: what bench/learning/through_nodes.py measures."""

import json
import subprocess
import sys
from pathlib import Path

from il_ros.policies import lineage

BENCH = Path(__file__).resolve().parents[2] / "bench" / "learning" / "through_nodes.py"


def test_a_round_is_recorded_learnt_from_judged_and_rated(tmp_path):
    words = ["--methods", "hg_dagger", "--first", "2", "--demonstrations", "2", "--steps", "40"]
    words += ["--rounds", "2", "--per-round", "1", "--rated", "1,2", "--warm-epochs", "2"]
    words += ["--episodes", "1", "--through-nodes", "1", "--set", "policy.hidden=[16]"]
    ran = subprocess.run(
        [sys.executable, str(BENCH), *words, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = json.loads(ran.stdout)["rows"]
    assert [(row["method"], row["stage"]) for row in rows] == [("hg_dagger", 1), ("hg_dagger", 2)]
    # a policy of two demonstrations goes wrong, the simulated person sees it, and what it drives are labels
    assert rows[0]["takeovers"] >= 1
    assert rows[0]["labels"] < rows[1]["labels"]
    assert rows[1]["agreement"][0]["episodes"] == 1
    policies = tmp_path / "through_nodes_push" / "seed_0" / "hg_dagger" / "policies"
    assert [lineage.read(policies / f"v{number}").parent for number in (2, 3)] in (["v1", "v2"], ["v1", "v1"])
    assert lineage.read(policies / "v3").labels == rows[1]["labels"]
    assert (tmp_path / "through_nodes_push.svg").exists()
