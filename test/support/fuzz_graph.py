"""The reader of a running graph's messages, from which a contract is drafted, for the fuzzing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fuzzing import Reader, mutated_bytes

from il_ros.core import messages
from il_ros.core.contract import ContractError
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, JOINT_TRAJECTORY, LASER_SCAN, TRANSFORMS
from il_ros.core.strict_yaml import YamlError
from il_ros.episodes.layout import StreamInfo
from il_ros.episodes.survey.check import check_contract
from il_ros.episodes.survey.draft import draft_contract
from il_ros.episodes.survey.survey import GraphEndpoint, GraphSurvey, SeenTopic

OBSERVED = {
    "/joint_states": JOINT_STATE,
    "/camera": IMAGE,
    "/scan": LASER_SCAN,
    "/load": ARRAY,
    "/tf": TRANSFORMS,
}


def graph_readers() -> Sequence[Reader]:
    """Return the readers."""
    return [Reader("drafted graph", _seeds(), mutated_bytes, _draft, (ContractError, YamlError))]


def _seeds() -> tuple[bytes, ...]:
    head = messages.header(1)
    joints = messages.make(JOINT_STATE, header=head, name=["a", "b"], position=np.zeros(2))
    picture = messages.make(
        IMAGE, header=head, height=2, width=4, encoding="rgb8", step=12, data=np.zeros(24, np.uint8)
    )
    scan = messages.make(LASER_SCAN, header=head, ranges=np.ones(5, np.float32))
    sent = messages.make(JOINT_TRAJECTORY, header=head, joint_names=["b"])
    pairs = ((JOINT_STATE, joints), (IMAGE, picture), (LASER_SCAN, scan), (JOINT_TRAJECTORY, sent))
    return tuple(messages.encode(kind, message) for kind, message in pairs)


def _draft(raw: bytes) -> object:
    """Draft from a graph whose topics all sent this message last, and check the contract against it."""

    def topic(name: str, kind: str, samples: Sequence[bytes], receivers: Sequence[str] = ()) -> SeenTopic:
        info = StreamInfo(name, kind, messages=9, rate_hz=30.0, age_p50_s=0.01, age_p99_s=0.02)
        ends = (GraphEndpoint("/driver"),) if not receivers else ()
        return SeenTopic(name, (kind,), ends, tuple(map(GraphEndpoint, receivers)), info, tuple(samples))

    seen = [topic(name, kind, (*_seeds()[: kind == JOINT_STATE], raw)) for name, kind in OBSERVED.items()]
    seen.append(topic("/arm/joint_trajectory", JOINT_TRAJECTORY, (raw,), ("/arm",)))
    survey = GraphSurvey({each.name: each for each in seen}, 4.0)
    return check_contract(draft_contract(survey), survey, ahead_s=0.02)
