import numpy as np

from il_ros.sim.tasks.wobble import AMPLITUDE_RAD, Wobble


def test_the_disturbance_starts_at_zero_and_stays_small():
    wobble = Wobble(np.random.default_rng(0))
    strays = np.array([wobble.at(k * 0.05) for k in range(400)])
    assert (strays[0] == 0).all()
    assert (np.abs(strays) <= AMPLITUDE_RAD).all()
    moving = AMPLITUDE_RAD > 0
    assert (strays.std(axis=0)[moving] > 0.2 * AMPLITUDE_RAD[moving]).all()


def test_equal_random_numbers_give_equal_disturbances():
    first, second = Wobble(np.random.default_rng(7)), Wobble(np.random.default_rng(7))
    assert (first.at(3.2) == second.at(3.2)).all()
    assert (first.at(3.2) != Wobble(np.random.default_rng(8)).at(3.2)).any()
