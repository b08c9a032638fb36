"""The nodes' status topics are read with the types of their fields checked."""

import pytest

from il_ros.records import statuses
from il_ros.records.statuses import StatusError


def test_the_fields_in_use_are_returned_and_others_ignored():
    text = '{"authority": "none", "generation": 3, "mode": "gated", "estop": "", "threshold": null}'
    assert statuses.read(statuses.SUPERVISOR, text) == {
        "authority": "none", "generation": 3, "mode": "gated", "estop": "", "threshold": None
    }  # fmt: skip
    text = '{"event": "epoch", "job": "training v1", "epoch": 2, "epochs": 9, "train_loss": NaN}'
    assert statuses.read(statuses.TRAINING, text) == {
        "event": "epoch", "job": "training v1", "epoch": 2, "epochs": 9
    }  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "text", "says"),
    [
        (
            statuses.SUPERVISOR,
            "5",
            "not a message of dagger_supervisor/status: it is 5; it must be an object",
        ),
        (statuses.SUPERVISOR, '{"generation": "4"}', "generation is '4'; it must be a whole number"),
        (statuses.SUPERVISOR, '{"estop": 1}', "estop is 1; it must be a text"),
        (statuses.REQUEST, '{"wanted": true}', "a request without 'why'"),
        (statuses.RECORDER, '{"episode": 5}', "episode is 5; it must be a text"),
        (statuses.RECORDER, '{"last": []}', "last is []; it must be an object"),
        (statuses.TRAINING, '{"job": "x"}', "an event without 'event'"),
        (statuses.TRAINING, '{"event": "noticed", "episodes": {"e": {}}}', "episodes[e] without 'labelled'"),
        (statuses.TRAINING, '{"event": "epoch", "epochs": "many"}', "epochs is 'many'"),
        (statuses.PROMOTION, '{"version": "v1", "verdict": null}', "verdict is None; it must be an object"),
        (statuses.PROMOTION, "[" * 100_000, "nested too deeply"),
    ],
)
def test_the_error_names_topic_field_value_and_remedy(topic, text, says):
    with pytest.raises(StatusError) as caught:
        statuses.read(topic, text)
    assert says in str(caught.value)
