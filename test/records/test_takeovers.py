"""The definition of a takeover: worked examples, and equal counts in all consumers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.episodes.counts import count_decisions
from il_ros.interactive.dagger.interaction import DrivenEpisode
from il_ros.interactive.promotion.rollback import DrivingLog
from il_ros.records.decision import NOBODY, Decision
from il_ros.records.labelling import MODES
from il_ros.records.takeovers import takeovers
from il_ros.session.facts import facts_of
from il_ros.session.state import SessionState
from il_ros.session.updates import after_decision

NAMES = {"p": "policy", "e": "expert", "j": "joystick", "-": NOBODY}


@pytest.mark.parametrize(
    ("mode", "drivers", "expected"),
    [
        ("hg_dagger", "ppepp", (2,)),
        ("hg_dagger", "eepe", (3,)),  # the first driver takes over from no source
        ("hg_dagger", "p-e", (2,)),  # a pause between the two is ignored
        ("gated", "pe-epe", (1, 5)),  # the same takeover is not counted twice
        ("priority", "je", (1,)),  # from any other source
        ("", "pe", (1,)),  # recorded before modes existed
        ("dagger", "pepe", ()),  # the driver is drawn at random
        ("shadow", "pe", ()),
        ("expert", "pe", ()),
    ],
)
def test_worked_examples(mode, drivers, expected):
    assert takeovers((NAMES[driver], mode) for driver in drivers) == expected


def test_a_mode_without_takeovers_resets_the_last_driver():
    decided = [("policy", "hg_dagger"), ("policy", "dagger"), ("expert", "hg_dagger")]
    assert takeovers(decided) == ()


DECIDED = st.lists(
    st.tuples(st.sampled_from(["policy", "expert", NOBODY]), st.sampled_from(MODES)), max_size=40
)


def decisions(decided):
    return [
        Decision(
            1_000_000_000 + index * 50_000_000,
            1_000_000_000 + index * 50_000_000,
            authority,
            "",
            sent=None if authority == NOBODY else (0.0,),
            version="v1" if authority == "policy" else "",
            mode=mode,
        )
        for index, (authority, mode) in enumerate(decided)
    ]


@given(DECIDED.filter(bool))
def test_every_consumer_counts_the_same_takeovers(decided):
    made = decisions(decided)
    expected = len(takeovers(decided))
    assert count_decisions(made).interventions == expected, "the trigger of a training"
    assert len(facts_of("e", "success", False, made, 0.05).takeovers) == expected, "the session's report"
    assert len(DrivenEpisode(decisions=made).takeovers_ns) == expected, "DAgger in one process"
    log, state = DrivingLog(), SessionState(recording="episode_000001")
    for decision in made:
        log.observe(decision)
        state, _ = after_decision(state, decision)
    assert sum(driving.interventions for driving in log.by_version.values()) == expected, "the roll-back"
    assert state.interventions == expected, "the console"
