import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import messages
from il_ros.core.specs import STRING
from il_ros.records.decision import NOBODY, Decision, DecisionError, decode, from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VECTOR = st.none() | st.lists(FINITE, min_size=3, max_size=3).map(tuple)


@given(VECTOR, VECTOR, st.none() | st.floats(0.0, allow_infinity=False))
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


def test_the_way_of_a_chunk_is_written_where_a_policy_keeps_ways_apart():
    assert "way" not in json.loads(to_json(Decision(1, 1, "policy", "")))
    record = json.loads(to_json(Decision(1, 1, "policy", "", way=0)))
    assert record["way"] == 0
    assert from_json(json.dumps(record)).way == 0
    with pytest.raises(DecisionError, match="way"):
        from_json(json.dumps({**record, "way": -1}))


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


def test_a_former_name_beside_the_current_one_is_rejected():
    record = json.loads(to_json(Decision(1, 1, NOBODY, "")))
    former = {**record, "epoch": record["generation"]}
    del former["generation"]
    assert from_json(json.dumps(former)) == Decision(1, 1, NOBODY, "")
    with pytest.raises(DecisionError, match="'generation' is given twice, also by its former name 'epoch'"):
        from_json(json.dumps({**former, "generation": 1}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sent": 5}, "sent is 5; it must be a list"),
        ({"sent": []}, "sent is []; it must be a list of at least 1 value"),
        ({"sent": ["x", 1.0]}, "sent[0] is 'x'; it must be a finite number"),
        ({"sent": [1.0, True]}, "sent[1] is True; it must be a finite number"),
        ({"sent": [10**400]}, "it must be a finite number"),
        ({"sent": [1.0, 2.0, 3.0]}, "different numbers of actions: sent 3, proposals[policy] 2"),
        ({"proposals": []}, "proposals is []; it must be an object"),
        ({"proposals": {"policy": {}}}, "proposals[policy] is {}; it must be a list"),
        ({"rejected": {"policy": 1}}, "rejected[policy] is 1; it must be a text"),
        ({"limited": "speed"}, "limited is 'speed'; it must be a list"),
        ({"limited": [1]}, "limited[0] is 1; it must be a text"),
        (
            {"stamp_ns": 2**63},
            "stamp_ns is 9223372036854775808; it must be a whole number from 0 to 2^63 - 1",
        ),
        ({"stamp_ns": -1}, "stamp_ns is -1"),
        ({"stamp_ns": True}, "stamp_ns is True"),
        ({"sent_ns": 1.0}, "sent_ns is 1.0"),
        ({"authority": ""}, "authority is ''; it must be a text that is not empty"),
        ({"version": ["x"]}, "version is ['x']; it must be a text"),
        ({"reason": "\ud800"}, "without lone surrogates"),
        ({"generation": -1}, "generation is -1"),
        ({"beta": 1.5}, "beta is 1.5; it must be a finite number of at least 0 and at most 1"),
        ({"uncertainty": -0.1}, "uncertainty is -0.1; it must be a finite number of at least 0"),
        ({"disagreement": "0"}, "disagreement is '0'"),
        ({"queried": 1}, "queried is 1; it must be true or false"),
        ({"mode": "future"}, "mode is 'future'; it must be one of: '', 'priority', 'expert', 'policy'"),
        ({"mode": ["dagger"]}, "mode is ['dagger']"),
    ],
)
def test_a_field_of_another_type_or_range_is_named_with_its_value_and_the_remedy(change, says):
    record = json.loads(to_json(Decision(1, 1, "policy", "", {"policy": (1.0, 2.0)}, (1.0, 2.0))))
    with pytest.raises(DecisionError) as caught:
        from_json(json.dumps({**record, **change}))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"sent": NaN}', "NaN is not a number in JSON"),
        ('{"sent": 1' + "0" * 5000 + "}", "not JSON"),
        ('{"sent": 1, "sent": 2}', "the key 'sent' is given twice"),
        ("null", "it is None; it must be an object"),
    ],
)
def test_other_json_is_rejected(text, says):
    with pytest.raises(DecisionError, match=says):
        from_json(text)


def test_whole_numbers_in_a_command_become_floats():
    record = json.loads(to_json(Decision(1, 1, "policy", "", sent=(1.0, -0.0))))
    assert repr(from_json(json.dumps({**record, "sent": [1, -0.0]})).sent) == "(1.0, -0.0)"


def test_bytes_that_are_not_a_string_message_raise_a_decision_error():
    text = to_json(Decision(1, 1, NOBODY, ""))
    raw = messages.encode(STRING, messages.make(STRING, data=text))
    assert decode(raw) == Decision(1, 1, NOBODY, "")
    for cut in range(len(raw)):
        with pytest.raises(DecisionError):
            decode(raw[:cut])
