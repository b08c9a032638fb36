import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.records.decision import NOBODY, Decision, from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VECTOR = st.none() | st.lists(FINITE, min_size=3, max_size=3).map(tuple)


@given(VECTOR, VECTOR, st.none() | FINITE)
def test_a_decision_survives_json_bit_for_bit(proposed, sent, uncertainty):
    decision = Decision(
        stamp_ns=1_700_000_000_123_456_789, sent_ns=1_700_000_000_123_456_790, authority="policy",
        reason="policy proposed", proposals={"policy": proposed, "expert": None}, sent=sent,
        limited=("arm/joint2 speed",), generation=3, version="v3", beta=0.1, uncertainty=uncertainty,
        rejected={"expert": "0.4 s old"},
    )  # fmt: skip
    again = from_json(to_json(decision))
    assert again == decision
    assert repr(again) == repr(decision)  # distinguishes -0.0 from 0.0


def test_absent_values_are_null():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "nothing proposed", {"policy": None})))
    assert record["sent"] is None
    assert record["proposals"] == {"policy": None}
    assert record["uncertainty"] is None


def test_a_number_that_is_not_finite_is_rejected():
    with pytest.raises(ValueError, match=r"proposals\[policy\]"):
        Decision(1, 1, "policy", "", {"policy": (math.nan,)})
    with pytest.raises(ValueError, match="sent"):
        Decision(1, 1, "policy", "", sent=(math.inf,))


def test_an_unknown_field_is_ignored_and_a_missing_one_is_named():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "")))
    assert from_json(json.dumps({**record, "mood": "good"})) == Decision(1, 1, NOBODY, "")
    del record["generation"]
    with pytest.raises(ValueError, match="without 'generation'"):
        from_json(json.dumps(record))


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_other_text_is_rejected(text):
    with pytest.raises(ValueError, match="not a decision"):
        from_json(text)


def test_a_decision_without_mode_and_query_is_read_with_their_defaults():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "", mode="dagger")))
    assert from_json(json.dumps(record)).mode == "dagger"
    del record["mode"], record["queried"]
    read = from_json(json.dumps(record))
    assert (read.mode, read.queried) == ("", True)
