"""The interactive loop in one process tells the same rules per action group as the supervisor."""

import numpy as np

from il_ros.control.supervisor.arbitration import Source
from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract
from il_ros.interactive.dagger.human import GroupedHuman, HumanModel, SimulatedHuman
from il_ros.interactive.dagger.interaction import DrivenEpisode, InteractionLoop
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.policies.uncertainty import PolicyAnswer
from il_ros.records.labelling import BY_MODE
from il_ros.records.proposal import Proposal, releasing
from il_ros.records.takeovers import group_takeovers

OWN = contract.parse(
    """
name: two_wheels
rate_hz: 20
observations:
  x: {topic: x, type: std_msgs/msg/Float64MultiArray, size: 2, max_age_s: 9.0}
actions:
  left: {topic: left, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 9.0}}
  right: {topic: right, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 9.0}}
groups: {left: [left], right: [right]}
""",
    "two_wheels.yaml",
)
SEEN = {"x": np.zeros(2)}
PLAN = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 1), (0, 0), (1, 0)]
"""Whether the person drives left and right at each tick."""


class Policy:
    version, history = "v1", 1

    def act_in_parts(self, window, *, seed):
        return PolicyAnswer(np.array([[0.1, 0.2]]), 0.5, 0.0, {"left": 0.7, "right": 0.1})


class Expert:
    def act(self, seen):
        return np.array([[1.0, 2.0]])


class PlannedHuman:
    """Drives as planned."""

    def begin(self):
        self._plan = iter(PLAN)

    def propose(self, policy, own):
        drives = np.array(next(self._plan), dtype=bool)
        return np.where(drives, own, np.nan) if drives.any() else None


def in_process():
    memory = ModeMemory(OWN.period_ns, groups=OWN.groups)
    mode = make_mode(ModeOptions("hg_dagger"), OWN, ("policy", "expert"), memory)
    loop = InteractionLoop(mode, OWN.period_ns, PlannedHuman(), OWN.groups)
    driven = DrivenEpisode()
    loop.begin()
    for _ in PLAN:
        driven.decisions.append(loop.decide(SEEN, Policy(), Expert()))
        driven.seen.append(SEEN)
    return driven


def through_the_supervisor():
    memory = ModeMemory(OWN.period_ns, groups=OWN.groups)
    mode = make_mode(ModeOptions("hg_dagger"), OWN, ("policy", "expert"), memory)
    sources = [Source("policy", "p", 10, 0.25, 0.2), Source("expert", "e", 20, 0.25, 0.2)]
    core = Supervision(OWN, sources, SupervisorOptions(1.0, without_measurement="trust"), mode=mode)
    decisions, before = [], (0, 0)
    for tick, now in enumerate(PLAN, 1):
        at = tick * OWN.period_ns
        covered = tuple(name for name, drives in zip(("left", "right"), now, strict=True) if drives)
        left = tuple(
            name
            for name, was, drives in zip(("left", "right"), before, now, strict=True)
            if was and not drives
        )
        if left:
            core.propose("expert", releasing("expert", at, 2, left), at, at)
        found = None
        if covered:
            chunk = np.where(np.array(now, bool), [1.0, 2.0], np.nan)[None]
            groups = covered if len(covered) < 2 else ()
            found = core.propose("expert", Proposal("expert", at, chunk, groups=groups), at, at)
        policy = Proposal("policy", at, np.array([[0.1, 0.2]]), version="v1", uncertainty=0.5)
        decisions.append(core.propose("policy", policy, at, at) or found)
        before = now
    return decisions


def test_both_give_authority_labels_and_takeovers_alike():
    driven, supervised = in_process(), through_the_supervisor()
    for one, other, drives in zip(driven.decisions, supervised, PLAN, strict=True):
        expected = {
            name: "expert" if each else "policy" for name, each in zip(("left", "right"), drives, strict=True)
        }
        assert one.authorities == other.authorities == expected
        assert one.authority == other.authority
        assert one.sent == other.sent
        np.testing.assert_array_equal(BY_MODE.choose(one) or (), BY_MODE.choose(other) or ())
    taken = {1: ("left",), 2: ("right",), 6: ("left",)}
    assert group_takeovers((each.authorities, each.mode) for each in supervised) == taken
    assert driven.takeovers_ns == tuple(driven.decisions[index].stamp_ns for index in taken)


def test_an_episode_has_the_labels_of_each_group():
    episode = in_process().episode("one", OWN)
    nan = np.nan
    np.testing.assert_array_equal(episode.commands, [[1, nan], [1, 2], [nan, 2], [nan, 2], [1, nan]])
    assert episode.labelled.tolist() == [
        [True, False],
        [True, True],
        [False, True],
        [False, True],
        [True, False],
    ]
    assert episode.authorities["left"] == ("expert", "expert", "policy", "policy", "expert")
    assert len(episode.group_takeovers_ns["left"]) == 2
    np.testing.assert_array_equal(episode.offsets, np.zeros((5, 2)))


def test_a_simulated_human_takes_the_arm_that_errs():
    model = HumanModel(misjudged=0.0, tremor=0.0, reaction_ticks=2, least_ticks=1, patience_ticks=1000)
    humans = [SimulatedHuman(model, np.ones(1), np.random.default_rng(0)) for _ in range(2)]
    human = GroupedHuman(humans, OWN.groups)
    human.begin()
    wrong, right = np.array([5.0, 1.0]), np.array([0.0, 1.0])
    assert human.propose(wrong, right) is None  # within its reaction time
    np.testing.assert_array_equal(human.propose(wrong, right), [0.0, np.nan])
