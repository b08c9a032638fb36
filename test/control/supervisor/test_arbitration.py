import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import (
    PRESENT,
    Absence,
    AbsenceKind,
    Source,
    SourceState,
    absence,
    by_priority,
    ranked,
)
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

POLICY = Source("policy", "a", 10, timeout_s=0.2, max_age_s=0.2)
EXPERT = Source("expert", "b", 20, timeout_s=0.2, max_age_s=0.2)
PROPOSED = SourceState().accepting(Proposal("policy", 1, np.zeros((1, 1))), now_ns=1_000, steady_ns=5_000)
SECOND = 1_000_000_000
SILENT, FAULTY = Absence(AbsenceKind.SILENT, "silent"), Absence(AbsenceKind.FAULTY, "faulty")


def test_the_available_source_with_the_highest_priority_has_authority():
    assert [source.name for source in ranked([POLICY, EXPERT])] == ["expert", "policy"]
    assert by_priority({"expert": PRESENT, "policy": PRESENT}) == "expert"
    assert by_priority({"expert": SILENT, "policy": PRESENT}) == "policy"
    assert by_priority({"expert": SILENT, "policy": FAULTY}) == NOBODY


def test_a_source_is_present_until_its_time_out():
    assert absence(POLICY, PROPOSED, 1_000 + SECOND // 5, 5_000, 0) == PRESENT
    assert absence(POLICY, PROPOSED, 1_001 + SECOND // 5, 5_000, 0) == Absence(
        AbsenceKind.SILENT, "silent for 0.20 s"
    )


def test_silence_is_measured_on_the_steady_clock_too_with_patience():
    half_a_second_later = 5_000 + SECOND // 2
    assert absence(POLICY, PROPOSED, 1_000, half_a_second_later, SECOND) == PRESENT
    assert absence(POLICY, PROPOSED, 1_000, half_a_second_later, 0).text == "silent for 0.50 s"


def test_a_faulty_source_is_absent_until_it_proposes_a_valid_command():
    faulty = PROPOSED.rejecting("joint1 is nan", faulty=True)
    assert absence(POLICY, faulty, 1_000, 5_000, 0) == Absence(AbsenceKind.FAULTY, "rejected: joint1 is nan")
    still_faulty = faulty.rejecting("too old", faulty=False)
    assert absence(POLICY, still_faulty, 1_000, 5_000, 0).kind is AbsenceKind.FAULTY
    recovered = faulty.accepting(PROPOSED.proposal, 1_000, 5_000)
    assert absence(POLICY, recovered, 1_000, 5_000, 0) == PRESENT
    assert (recovered.accepted, recovered.rejected, recovered.rejection) == (2, 1, "joint1 is nan")


def test_a_source_that_sends_only_what_is_refused_is_absent_with_the_reason():
    refused = PROPOSED.rejecting("60.10 s old, at most 0.2 s is accepted", faulty=False)
    assert absence(POLICY, refused, 1_000, 5_000, 0) == PRESENT  # its last good proposal is fresh
    assert absence(POLICY, refused, 1_000 + SECOND, 5_000, 0) == Absence(
        AbsenceKind.SILENT,
        "silent for 1.00 s; what it sends is refused: 60.10 s old, at most 0.2 s is accepted",
    )
    never = SourceState().rejecting("for a tick 3.00 s ahead of the clock", faulty=False)
    assert absence(POLICY, never, 1_000, 5_000, 0) == Absence(
        AbsenceKind.NOT_YET,
        "has not proposed; what it sends is refused: for a tick 3.00 s ahead of the clock",
    )
    again = refused.accepting(PROPOSED.proposal, 1_000, 5_000)
    assert absence(POLICY, again, 1_000 + SECOND, 5_000, 0).text == "silent for 1.00 s"


@pytest.mark.parametrize("field", ["name", "topic", "priority"])
def test_two_sources_with_the_same_name_topic_or_priority_are_rejected(field):
    values = {"name": "expert", "topic": "b", "priority": 20, "timeout_s": 0.2, "max_age_s": 0.2}
    values[field] = getattr(POLICY, field)
    with pytest.raises(ValueError, match=f"two sources have the {field}"):
        ranked([POLICY, Source(**values)])


@pytest.mark.parametrize("bad", [{"name": "none"}, {"name": "a b"}, {"timeout_s": 0.0}, {"max_age_s": -1.0}])
def test_an_invalid_source_is_rejected(bad):
    values = {"name": "policy", "topic": "a", "priority": 1, "timeout_s": 0.2, "max_age_s": 0.2}
    with pytest.raises(ValueError, match="source"):
        Source(**{**values, **bad})
