"""Every decoder of outside data returns a record or raises its one declared error, whatever it is given."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from il_ros.core import messages
from il_ros.core.specs import STRING
from il_ros.episodes import layout
from il_ros.episodes.layout import EpisodeInfo, Grade, LayoutError, StreamInfo
from il_ros.records import decision, proposal, rating, statuses, trials
from il_ros.records.decision import MODES, Decision, DecisionError
from il_ros.records.proposal import Proposal, ProposalError
from il_ros.records.rating import Rating, RatingError
from il_ros.records.statuses import StatusError
from il_ros.records.trials import Trial, Trials, TrialsError

NAMES, PERIOD_NS = ("a", "b"), 50_000_000
DECISION = Decision(
    5, 6, "policy", "why", {"policy": (1.0, 2.0), "expert": None}, (1.0, 2.0), ("a speed",), 3, "v3", 0.5, 0.1,
    {"expert": "late"}, "dagger", 0.2,
)  # fmt: skip
INFO = EpisodeInfo(
    "episode_000001", seed=3, topics={"a": "/a"}, stopped_ns=7, faults=("full",), complete=True,
    streams=(StreamInfo("/a", "std_msgs/msg/String", rate_hz=2.0),), grade=Grade("fair", ("idle",), idle_share=0.5),
)  # fmt: skip
TRIALS = Trials(
    3, 7, (Trial(7, "success", "", 3.5, 0.4), Trial(8, "failure", "late", 20.0, 2.0, "episode_000001"))
)
RATING = Rating(5, "episode_000001", "v1", 0.97, True, "v2", 0.4, 2.5, "no progress for 4.0 s")
STATUS = {"generation": 3, "mode": "dagger", "estop": "", "threshold": 0.5, "disagreement": None}
PROGRESS = {
    "event": "noticed",
    "labels": 3,
    "train_after": 9,
    "episodes": {"e": {"labelled": 1, "interventions": 0}},
}

DECODERS = {
    "decision": (decision.from_json, decision.to_json(DECISION), DecisionError),
    "episode.json": (layout.info_from_json, INFO.to_json(), LayoutError),
    "rating": (rating.from_json, rating.to_json(RATING), RatingError),
    "trials": (trials.from_json, TRIALS.to_json(), TrialsError),
    "status": (lambda text: statuses.read(statuses.SUPERVISOR, text), json.dumps(STATUS), StatusError),
    "progress": (lambda text: statuses.read(statuses.TRAINING, text), json.dumps(PROGRESS), StatusError),
}
each_decoder = pytest.mark.parametrize(("decode", "text", "declared"), DECODERS.values(), ids=DECODERS)

ODD = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 5, 2**63, 10**400, -0.0, 0.5, 1e308, math.nan, math.inf),
        *("", "x", "\ud800", "future", *MODES),
        *([], {}, [[]], [None], [True], ["x"], [1.0], [10**400], [math.nan], {"": 0}, {"policy": [1.0, 2.0]}),
    ]
)
JSON = st.recursive(
    ODD | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def places(value, place=()):
    """Return the path of every value in a JSON value."""
    found = [place]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*place, key))
    return found


def mutated(value, place, odd, how):
    """Return a copy of a JSON value in which the value at `place` is replaced, removed or renamed."""
    if not place:
        return odd
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest or how == "replace":
        copy[key] = mutated(value[key], rest, odd, how)
    elif how == "remove":
        del copy[key]
    elif isinstance(copy, dict):
        copy[str(odd)] = copy.pop(key)
    else:
        copy.insert(key, odd)
    return copy


def result(decode, text, declared):
    """Return what a decoder returns, or None for its declared error; other errors propagate."""
    try:
        return decode(text)
    except declared:
        return None


@each_decoder
def test_the_original_decodes(decode, text, declared):
    assert result(decode, text, declared) is not None


@each_decoder
@settings(max_examples=300, deadline=None)
@given(value=JSON)
def test_any_json_decodes_or_raises_the_declared_error(decode, text, declared, value):
    result(decode, json.dumps(value), declared)


@each_decoder
@settings(max_examples=300, deadline=None)
@given(words=st.text(max_size=30), data=st.data())
@example(words="[" * 100_000, data=None)
@example(words="1" * 10_000, data=None)
def test_any_text_decodes_or_raises_the_declared_error(decode, text, declared, words, data):
    result(decode, words, declared)
    if data is not None:
        place = data.draw(st.integers(0, len(text)))
        result(decode, text[:place] + words, declared)
        result(decode, text[:place] + words + text[place:], declared)


@each_decoder
@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_mutation_decodes_or_raises_the_declared_error(decode, text, declared, data):
    original = json.loads(text)
    place = data.draw(st.sampled_from(places(original)))
    how = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    result(decode, json.dumps(mutated(original, place, data.draw(ODD | JSON), how)), declared)


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_a_mutated_decision_that_decodes_survives_encoding_and_has_the_declared_types(data):
    original = json.loads(decision.to_json(DECISION))
    place = data.draw(st.sampled_from(places(original)))
    changed = mutated(
        original, place, data.draw(ODD), data.draw(st.sampled_from(["replace", "remove", "rename"]))
    )
    found = result(decision.from_json, json.dumps(changed), DecisionError)
    if found is None:
        return
    assert decision.from_json(decision.to_json(found)) == found
    assert found.mode in ("", *MODES)
    assert type(found.stamp_ns) is int
    assert 0 <= found.stamp_ns < 2**63
    vectors = [each for each in (found.sent, *found.proposals.values()) if each is not None]
    assert all(type(number) is float and math.isfinite(number) for each in vectors for number in each)
    assert len({len(each) for each in vectors}) <= 1


def test_every_odd_value_in_every_field_of_a_decision_is_either_rejected_or_in_range():
    original, odd = (
        json.loads(decision.to_json(DECISION)),
        [None, True, -1, 2**63, "\ud800", [True], {"x": 5}],
    )
    allowed = {  # by hand: the fields that may be null
        ("sent", None), ("beta", None), ("uncertainty", None), ("disagreement", None), ("queried", True),
        ("uncertainty", 2**63), ("disagreement", 2**63), ("age_s", None), ("age_s", 2**63),
    }  # fmt: skip
    accepted = set()
    for field in original:
        for value in odd:
            if result(decision.from_json, json.dumps({**original, field: value}), DecisionError) is not None:
                accepted.add((field, value))
    assert accepted == allowed


def proposed() -> bytes:
    chunk = np.array([[0.1, 0.2], [0.3, 0.4]])
    return proposal.encode(Proposal("policy", 7 * 10**9, chunk, "v3", 4, 0.25), NAMES, PERIOD_NS)


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_mutated_bytes_of_a_proposal_decode_or_raise_a_proposal_error(data):
    raw = bytearray(proposed())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    found = result(lambda raw: proposal.decode(bytes(raw), NAMES, PERIOD_NS), raw, ProposalError)
    assert found is None or found.chunk.shape[1] == 2


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20) | st.from_regex(r"(source|version|epoch|generation|doubt)=\w* ?", fullmatch=True))
def test_any_frame_id_of_a_proposal_decodes_or_raises_a_proposal_error(words):
    message = proposal.to_message(Proposal("policy", 7, np.ones((1, 2))), NAMES, PERIOD_NS)
    message.header = messages.header(7, f"source=policy {words}".replace("\0", ""))
    try:
        raw = messages.encode(proposal.TYPE, message)
    except UnicodeEncodeError:
        return
    result(lambda raw: proposal.decode(raw, NAMES, PERIOD_NS), raw, ProposalError)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_raise_a_declared_error(raw):
    assert result(decision.decode, raw, DecisionError) is None
    assert result(lambda raw: proposal.decode(raw, NAMES, PERIOD_NS), raw, ProposalError) is None
    assert (
        result(lambda raw: messages.decode(STRING, b"\0" + raw), raw, messages.MessageError) is not DECISION
    )
