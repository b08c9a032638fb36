"""Windows of observations, committed steps and the weights of steps."""

import torch

from il_ros.policies.protocol import Window, continued, weighted_mean

COLUMNS = {"a": torch.tensor([0, 2]), "b": torch.tensor([1])}


def window(**changes):
    state = torch.arange(12.0).reshape(2, 2, 3)
    return Window(state, COLUMNS, {"camera": torch.ones(2, 2, 1, 1, 1, dtype=torch.uint8)}, **changes)


def test_a_key_is_its_columns_at_every_tick():
    assert list(window()) == ["a", "b", "camera"]
    assert window()["a"].tolist() == [[[0, 2], [3, 5]], [[6, 8], [9, 11]]]
    assert window().flat_state.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert all(there.all() for there in window().mask.values())


def test_a_mask_is_false_before_history_begins_and_where_a_key_is_missing():
    past = torch.tensor([[False, True], [True, True]])
    missing = torch.tensor([[False, False], [False, True]])
    mask = window(past=past, absent={"camera": missing}).mask
    assert mask["a"].tolist() == [[False, True], [True, True]]
    assert mask["camera"].tolist() == [[False, True], [True, False]]


def test_a_left_out_key_is_0_and_masked_and_the_window_stays_as_it_was():
    before = window()
    chosen = torch.tensor([False, True])
    without = before.without("a", chosen).without("camera", chosen)
    assert without["a"].tolist() == [[[0, 2], [3, 5]], [[0, 0], [0, 0]]]
    assert without["b"].tolist() == before["b"].tolist()
    assert without["camera"].flatten().tolist() == [1, 1, 0, 0]
    assert without.mask["a"].tolist() == without.mask["camera"].tolist() == [[True, True], [False, False]]
    assert without.mask["b"].all()
    assert before["a"].tolist() == window()["a"].tolist()
    assert before["camera"].all()


def test_rows_are_those_samples():
    past = torch.tensor([[False, True], [True, True]])
    second = window(past=past, absent={"b": past}).rows(torch.tensor([1]))
    assert second["a"].tolist() == [[[6, 8], [9, 11]]]
    assert second.mask["a"].tolist() == [[True, True]]
    assert second.mask["b"].tolist() == [[False, False]]


def test_a_chunk_begins_with_what_is_committed():
    chunk, committed = torch.zeros(1, 3, 1), torch.tensor([[[5.0], [6.0]]])
    assert continued(chunk, committed).flatten().tolist() == [5, 6, 0]
    assert continued(chunk, None) is chunk


def test_weights_of_steps_and_of_numbers():
    errors = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])
    assert weighted_mean(errors, None).item() == 4.0
    assert weighted_mean(errors, torch.tensor([[[3.0], [1.0]]])).item() == (3 * 2 + 1 * 6) / 4
    assert weighted_mean(errors, torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])).item() == (3 * 1 + 1 * 7) / 4
