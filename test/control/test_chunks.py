import numpy as np
import pytest

from il_ros.control.chunks import TemporalEnsemble, remaining, step_due
from il_ros.control.proposal import Proposal

PERIOD = 50_000_000


@pytest.mark.parametrize(
    ("periods", "step"), [(-1.0, 0), (0.0, 0), (0.5, 0), (0.89, 0), (0.91, 1), (1.0, 1), (1.5, 1), (7.0, 7)]
)
def test_a_step_holds_until_the_next_and_jitter_is_forgiven(periods, step):
    assert step_due(1000, 1000 + round(periods * PERIOD), PERIOD) == step


def test_what_remains_of_a_chunk_begins_with_the_step_due():
    proposal = Proposal("policy", 1000, np.array([[0.0], [1.0], [2.0]]))
    np.testing.assert_array_equal(remaining(proposal, 1000 + PERIOD, PERIOD), [[1.0], [2.0]])
    assert remaining(proposal, 1000 + 3 * PERIOD, PERIOD) is None


def test_an_ensemble_is_the_weighted_mean_of_what_chunks_say_about_the_tick():
    ensemble = TemporalEnsemble(PERIOD, decay=np.log(2.0))
    ensemble.add(0, np.array([[0.0], [10.0], [20.0]]))
    ensemble.add(PERIOD, np.array([[4.0], [5.0], [6.0]]))
    np.testing.assert_allclose(ensemble.at(PERIOD), [(10.0 + 0.5 * 4.0) / 1.5])
    np.testing.assert_allclose(ensemble.at(2 * PERIOD), [(20.0 + 0.5 * 5.0) / 1.5])
    np.testing.assert_allclose(ensemble.at(3 * PERIOD), [6.0])
    assert ensemble.at(4 * PERIOD) is None


def test_an_ensemble_forgets_when_told_and_takes_chunks_in_order_only():
    ensemble = TemporalEnsemble(PERIOD)
    ensemble.add(PERIOD, np.ones((2, 1)))
    with pytest.raises(ValueError, match="after that of"):
        ensemble.add(PERIOD, np.ones((2, 1)))
    ensemble.clear()
    assert ensemble.at(PERIOD) is None
