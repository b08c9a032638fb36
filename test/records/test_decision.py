import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.records.decision import NOBODY, Decision, from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VECTOR = st.none() | st.lists(FINITE, min_size=3, max_size=3).map(tuple)


@given(VECTOR, VECTOR, st.none() | FINITE)
def test_what_is_written_reads_back_bit_for_bit(proposed, sent, uncertainty):
    decision = Decision(
        stamp_ns=1_700_000_000_123_456_789, sent_ns=1_700_000_000_123_456_790, authority="policy",
        reason="policy proposed", proposals={"policy": proposed, "expert": None}, sent=sent,
        limited=("arm/joint2 speed",), generation=3, version="v3", beta=0.1, uncertainty=uncertainty,
        rejected={"expert": "0.4 s old"},
    )  # fmt: skip
    again = from_json(to_json(decision))
    assert again == decision
    assert repr(again) == repr(decision)  # -0.0 == 0.0, but their texts differ


def test_absence_is_null():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "nothing proposed", {"policy": None})))
    assert record["sent"] is None
    assert record["proposals"] == {"policy": None}
    assert record["doubt"] is None


def test_a_number_that_is_not_finite_can_not_be_recorded():
    with pytest.raises(ValueError, match=r"proposals\[policy\]"):
        Decision(1, 1, "policy", "", {"policy": (math.nan,)})
    with pytest.raises(ValueError, match="sent"):
        Decision(1, 1, "policy", "", sent=(math.inf,))


def test_a_later_versions_field_is_ignored_and_a_missing_one_named():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "")))
    assert from_json(json.dumps({**record, "mood": "good"})) == Decision(1, 1, NOBODY, "")
    del record["epoch"]
    with pytest.raises(ValueError, match="without 'epoch'"):
        from_json(json.dumps(record))


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_other_text_is_no_decision(text):
    with pytest.raises(ValueError, match="not a decision"):
        from_json(text)


def test_a_decision_from_before_there_were_modes_is_read_without_one():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "", mode="dagger")))
    assert from_json(json.dumps(record)).mode == "dagger"
    del record["mode"], record["asked"]
    read = from_json(json.dumps(record))
    assert (read.mode, read.queried) == ("", True)
