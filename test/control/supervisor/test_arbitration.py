import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import Source, SourceState, absence, by_priority, ranked
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

POLICY = Source("policy", "a", 10, timeout_s=0.2, max_age_s=0.2)
EXPERT = Source("expert", "b", 20, timeout_s=0.2, max_age_s=0.2)
HEARD = SourceState().accepting(Proposal("policy", 1, np.zeros((1, 1))), now_ns=1_000, steady_ns=5_000)
SECOND = 1_000_000_000


def test_the_highest_ranking_source_in_the_running_has_authority():
    assert [source.name for source in ranked([POLICY, EXPERT])] == ["expert", "policy"]
    assert by_priority({"expert": "", "policy": ""}) == "expert"
    assert by_priority({"expert": "silent", "policy": ""}) == "policy"
    assert by_priority({"expert": "silent", "policy": "faulty"}) == NOBODY


def test_a_source_is_in_until_its_time_out():
    assert absence(POLICY, HEARD, 1_000 + SECOND // 5, 5_000, 0) == ""
    assert absence(POLICY, HEARD, 1_001 + SECOND // 5, 5_000, 0) == "silent for 0.20 s"


def test_silence_counts_on_the_steady_clock_too_with_patience():
    half_a_second_later = 5_000 + SECOND // 2
    assert absence(POLICY, HEARD, 1_000, half_a_second_later, SECOND) == ""
    assert absence(POLICY, HEARD, 1_000, half_a_second_later, 0) == "silent for 0.50 s"


def test_a_faulty_source_is_out_until_it_proposes_a_command_again():
    faulty = HEARD.rejecting("joint1 is nan", faulty=True)
    assert absence(POLICY, faulty, 1_000, 5_000, 0) == "rejected: joint1 is nan"
    assert absence(POLICY, faulty.rejecting("too old", faulty=False), 1_000, 5_000, 0).startswith("rejected")
    mended = faulty.accepting(HEARD.proposal, 1_000, 5_000)
    assert absence(POLICY, mended, 1_000, 5_000, 0) == ""
    assert (mended.accepted, mended.rejected, mended.rejection) == (2, 1, "joint1 is nan")


@pytest.mark.parametrize("field", ["name", "topic", "priority"])
def test_two_sources_that_could_be_confused_are_refused(field):
    values = {"name": "expert", "topic": "b", "priority": 20, "timeout_s": 0.2, "max_age_s": 0.2}
    values[field] = getattr(POLICY, field)
    with pytest.raises(ValueError, match=f"two sources have the {field}"):
        ranked([POLICY, Source(**values)])


@pytest.mark.parametrize("bad", [{"name": "none"}, {"name": "a b"}, {"timeout_s": 0.0}, {"max_age_s": -1.0}])
def test_a_source_that_can_not_be_is_refused(bad):
    values = {"name": "policy", "topic": "a", "priority": 1, "timeout_s": 0.2, "max_age_s": 0.2}
    with pytest.raises(ValueError, match="source"):
        Source(**{**values, **bad})
