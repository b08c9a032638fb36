"""`il-ros run deploy` in a terminal: it starts at rest, names the policy, and stops when its console is suspended."""

import sys
import termios

import pytest
from made_versions import constant_policy
from pseudo_terminal import COLOUR, InTerminal

from il_ros.core import contract, share
from il_ros.core.specs import STRING
from il_ros.policies import checkpoint, lineage
from il_ros.policies.lineage import Lineage
from il_ros.records.decision import NOBODY, from_json
from il_ros.training import recipe as recipes

pytestmark = pytest.mark.usefixtures("own_domain")

SLOWLY = (0.1, 0.0)  # m/s and rad/s


@pytest.fixture
def deployed(tmp_path):
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    run = tmp_path / "checkpoint" / "v2"
    training = {**recipes.load("bc_mlp", ["epochs=40"]).to_plain()["training"]}
    unfinished = {"finished": False, "epochs": 3, "training": training}
    inputs = (own.observations[0].key,)
    checkpoint.save(run / "checkpoint", constant_policy(own, SLOWLY, "v2", unfinished, inputs=inputs))
    lineage.write(run, Lineage("v2", trained_at="2026-11-29T10:00:00+00:00"))
    words = ["run", "deploy", "--task", "drive", "--cameras", "false", "--time-limit-s", "0"]
    words += ["--checkpoint", str(tmp_path / "checkpoint"), "--root", str(tmp_path / "episodes")]
    words += ["--logs", str(tmp_path / "log")]
    session = InTerminal([sys.executable, "-m", "il_ros.cli.main", *words], shell=True)
    session.run = run
    yield session
    session.close()


def test_a_deployed_policy_rests_until_a_key_and_stops_when_the_console_is_suspended(graph, deployed):
    texts = graph.received("dagger_supervisor/decision", STRING)

    def shown(words):
        graph.until(lambda: words in COLOUR.sub("", deployed.read()), f"{words!r}: {deployed.screen[-2000:]}")

    def newest():
        deployed.read()
        return from_json(texts[-1].data) if texts else None

    def driven_by(name, reason=""):
        graph.until(
            lambda: (d := newest()) and d.authority == name and reason in d.reason, f"{name}: {reason}"
        )

    shown("starting sim, ")  # a start takes seconds: it is said at once
    named = f"policy v2 ({deployed.run}, trained at 2026-11-29T10:00:00+00:00, training was STOPPED EARLY, "
    shown(named + "after 3 of 40 epochs)")
    shown("at rest: n next start, p run")
    graph.until(lambda: len(texts) > 40, "decisions")  # 2 s and more
    decisions = [from_json(text.data) for text in texts]
    assert any(decision.proposals.get("policy") for decision in decisions)
    assert {(decision.authority, decision.sent) for decision in decisions} == {(NOBODY, None)}

    deployed.type("p")
    driven_by("policy")
    graph.until(lambda: newest().sent == pytest.approx(SLOWLY), "the policy's velocity")

    deployed.type("\x1a")  # Ctrl-Z
    driven_by(NOBODY, "suspended")
    assert newest().sent == (0.0, 0.0)
    graph.until(lambda: deployed.state == "T", "the suspension")
    assert termios.tcgetattr(deployed.terminal)[3] & termios.ECHO

    deployed.continue_()
    graph.until(lambda: not termios.tcgetattr(deployed.terminal)[3] & termios.ECHO, "single keys")
    shown("STOPPED: ")  # not the policy's "STOPPED EARLY": a key before it would clear nothing
    deployed.type("c")
    shown("the emergency stop is cleared")
    driven_by(NOBODY, "at rest")
    deployed.type("p")
    driven_by("policy")
    deployed.type(" ")
    driven_by(NOBODY, "emergency stop pressed")
    deployed.type("\x04")
    assert deployed.wait(60) == 0
    assert "Traceback" not in deployed.screen
    assert termios.tcgetattr(deployed.terminal) == deployed.before
