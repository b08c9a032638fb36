"""Discovery of episodes, and the retraining trigger."""

import made_episodes as made
import pytest

from il_ros.episodes import layout
from il_ros.episodes.counts import EpisodeCounts
from il_ros.training.trainer.watcher import EpisodeWatcher, News, RetrainTrigger


def corrected(ticks=20, taken_over_at=12):
    """The policy drives, then the expert."""
    return made.recorded(ticks, decisions=False) + [
        made.decision(
            tick,
            authority="expert" if tick >= taken_over_at else "policy",
            version="" if tick >= taken_over_at else "v1",
            mode="hg_dagger",
        )
        for tick in range(ticks)
    ]


def test_a_finished_episode_is_reported_once_with_its_counts(tmp_path):
    made.write(tmp_path, made.recorded(20), number=1)
    made.write(tmp_path, corrected(20, 12), number=2)
    watcher = EpisodeWatcher(tmp_path)
    news = watcher.look()
    assert news.finished == (
        ("episode_000001", EpisodeCounts(20, 0)),  # a demonstration: every tick is the expert's
        ("episode_000002", EpisodeCounts(8, 1, "v1")),  # ticks 12 to 19
    )
    assert not watcher.look()


def test_dagger_labels_every_tick_and_a_policy_alone_none(tmp_path):
    for number, mode in ((1, "dagger"), (2, "hg_dagger")):
        items = made.recorded(20, decisions=False)
        items += [made.decision(t, authority="policy", version="v3", mode=mode) for t in range(20)]
        made.write(tmp_path, items, number=number)
    assert [count for _, count in EpisodeWatcher(tmp_path).look().finished] == [
        EpisodeCounts(20, 0, "v3"),
        EpisodeCounts(0, 0, "v3"),
    ]


def test_a_missing_root_gives_no_news(tmp_path):
    watcher = EpisodeWatcher(tmp_path / "episodes")
    assert not watcher.look()
    made.write(tmp_path / "episodes", made.recorded(3), number=1)
    assert watcher.look().finished


def test_an_episode_being_recorded_is_not_reported(tmp_path):
    folder = made.write(tmp_path, made.recorded(5), number=1, complete=False)
    watcher = EpisodeWatcher(tmp_path)
    assert not watcher.look()
    assert watcher.unfinished == "episode_000001"
    made.write(tmp_path / "other", made.recorded(5), number=1)
    (tmp_path / "other" / "episode_000001" / "episode.json").replace(folder / "episode.json")
    assert [name for name, _ in watcher.look().finished] == ["episode_000001"]


def test_an_unfinished_episode_is_damaged_once_a_later_one_has_begun(tmp_path):
    made.write(tmp_path, made.recorded(5), number=1, complete=False)
    made.write(tmp_path, made.recorded(5), number=2)
    watcher = EpisodeWatcher(tmp_path)
    assert not watcher.look().damaged  # it may be being saved
    ((name, reason),) = watcher.look().damaged
    assert name == "episode_000001"
    assert "did not finish" in reason
    assert not watcher.look()  # reported once
    assert set(watcher.damaged) == {"episode_000001"}


def test_an_episode_that_is_being_saved_when_the_next_begins_is_not_damaged(tmp_path):
    folder = made.write(tmp_path, made.recorded(5), number=1, complete=False)
    made.write(tmp_path / "other", made.recorded(5), number=1)
    watcher = EpisodeWatcher(tmp_path)
    watcher.look()
    made.write(tmp_path, made.recorded(5), number=2)
    (folder / "more").write_text("it grew")
    assert not watcher.look().damaged
    (tmp_path / "other" / "episode_000001" / "episode.json").replace(folder / "episode.json")
    assert [name for name, _ in watcher.look().finished] == ["episode_000001"]


def test_a_cut_off_bag_is_damaged_and_named(tmp_path):
    folder = made.write(tmp_path, made.recorded(5), number=1)
    made.write(tmp_path, made.recorded(5), number=2)
    bag = layout.bag_file(folder)
    bag.write_bytes(bag.read_bytes()[:-100])
    watcher = EpisodeWatcher(tmp_path)
    assert [name for name, _ in watcher.look().finished] == ["episode_000002"]
    assert "never closed" in dict(watcher.look().damaged)["episode_000001"]


def test_a_damaged_middle_is_found_when_it_is_read(tmp_path):
    folder = made.write(tmp_path, made.recorded(20), number=1)
    made.write(tmp_path, made.recorded(5), number=2)
    bag = layout.bag_file(folder)
    raw = bytearray(bag.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    bag.write_bytes(raw)
    assert "is damaged" in dict(EpisodeWatcher(tmp_path).look().damaged)["episode_000001"]


def test_a_poor_take_is_named_once_and_starts_no_training(tmp_path):
    made.write(tmp_path, made.recorded(5), number=1, grade=layout.Grade("poor", ("only 0.25 s long",)))
    watcher = EpisodeWatcher(tmp_path)
    news = watcher.look()
    assert (news.finished, news.poor) == ((), (("episode_000001", "only 0.25 s long"),))
    assert not watcher.look()
    (name, counts), *rest = EpisodeWatcher(tmp_path, poor=True).look().finished
    assert (name, counts.labelled, rest) == ("episode_000001", 5, [])


def test_a_discard_and_its_removal_are_reported(tmp_path):
    folder = made.write(tmp_path, made.recorded(5), number=1)
    watcher = EpisodeWatcher(tmp_path)
    watcher.look()
    layout.discard(folder, "undone", "now")
    assert watcher.look().discarded == ("episode_000001",)
    assert watcher.discarded == {"episode_000001"}
    assert not watcher.look()
    layout.undo_discard(folder)
    assert watcher.look().finished
    assert watcher.discarded == frozenset()


@pytest.mark.parametrize("says", made.odd_decisions())
def test_one_odd_decision_is_left_out_and_named_and_both_episodes_are_reported(tmp_path, says):
    made.write(tmp_path, [*made.recorded(20), made.text(5, made.odd_decisions()[says])], number=1)
    made.write(tmp_path, made.recorded(20), number=2)
    (_, first), second = EpisodeWatcher(tmp_path).look().finished
    assert (first.labelled, first.interventions) == (20, 0)
    (reason,) = first.left_out
    assert says in reason
    assert second == ("episode_000002", EpisodeCounts(20, 0))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "5",
        '{"schema": 1, "name": 5}',
        '{"schema": 1, "name": "episode_000001", "streams": [5]}',
    ],
)
def test_a_malformed_description_is_damaged_and_the_other_episode_is_reported(tmp_path, text):
    folder = made.write(tmp_path, made.recorded(5), number=1)
    made.write(tmp_path, made.recorded(5), number=2)
    (folder / "episode.json").write_text(text)
    watcher = EpisodeWatcher(tmp_path)
    assert [name for name, _ in watcher.look().finished] == ["episode_000002"]
    watcher.look()  # an unfinished description may be being saved
    assert "episode.json" in watcher.damaged["episode_000001"]


# ---- when --------------------------------------------------------------------------------------------------


def finished(*counts):
    return News(finished=tuple((f"e{n}", count) for n, count in enumerate(counts)))


def test_an_intervention_is_due_at_once():
    trigger = RetrainTrigger(labels=200)
    trigger.take(finished(EpisodeCounts(8, 1)), ())
    assert trigger.due() == "corrected: e0; 8 new labels"


def test_demonstrations_are_due_when_there_are_enough_labels():
    trigger = RetrainTrigger(labels=200)
    trigger.take(finished(EpisodeCounts(199, 0)), ())
    assert trigger.due() == ""
    trigger.take(News(finished=(("e7", EpisodeCounts(1, 0)),)), ())
    assert trigger.due() == "200 new labels"


def test_an_episode_without_labels_is_not_due():
    trigger = RetrainTrigger(labels=1)
    trigger.take(finished(EpisodeCounts(0, 0), EpisodeCounts(0, 3)), ())
    assert trigger.due() == ""


def test_episodes_trained_on_are_not_new():
    trigger = RetrainTrigger(labels=10)
    trigger.take(finished(EpisodeCounts(50, 1), EpisodeCounts(9, 0)), {"e0"})
    assert trigger.due() == ""


def test_episodes_during_a_training_count_for_the_next():
    trigger = RetrainTrigger(labels=10)
    trigger.take(finished(EpisodeCounts(50, 1)), ())
    trigger.begun()
    assert trigger.due() == ""
    trigger.take(News(finished=(("late", EpisodeCounts(5, 1)),)), ())
    assert trigger.due() == "corrected: late; 5 new labels"


def test_discarding_a_trained_episode_is_due_and_others_are_dropped():
    trigger = RetrainTrigger(labels=10)
    trigger.take(finished(EpisodeCounts(50, 1)), ())
    trigger.take(News(discarded=("e0", "old")), {"old"})
    assert trigger.due() == "discarded: old"


def test_an_episode_discarded_during_training_triggers_once():
    trigger = RetrainTrigger(labels=10)
    trigger.take(finished(EpisodeCounts(50, 1)), ())
    trigger.begun()
    trigger.take(News(discarded=("e0",)), ())  # the training still runs
    assert trigger.due() == ""
    trigger.newest("v2", {"e0", "old"}, {"e0"})
    assert trigger.due() == "discarded: e0"
    trigger.begun()
    trigger.newest("v2", {"e0", "old"}, {"e0"})  # what was trained instead was refused
    assert trigger.due() == ""


def test_a_trigger_below_one_label_is_rejected():
    with pytest.raises(ValueError, match="labels"):
        RetrainTrigger(labels=0)
