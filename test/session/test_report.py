"""Statistics of a session's decisions, counted by hand, and the report."""

import dataclasses
import json
import re

import cv2
import made_episodes as made
import numpy as np
import pytest

from il_ros.records.decision import Decision
from il_ros.session import page, report
from il_ros.session.facts import Facts, by_version, facts_of

PERIOD_NS = 50_000_000


def episode(number, outcome, *stretches, discarded=False, mode="hg_dagger"):
    """Return the statistics of an episode from stretches (driver, version, ticks)."""
    decisions = []
    for driver, version, ticks in stretches:
        for _ in range(ticks):
            stamp = (len(decisions) + 1) * PERIOD_NS
            sent = None if driver == "none" else (0.0,)
            decisions.append(
                Decision(
                    stamp,
                    stamp,
                    driver,
                    "",
                    sent=sent,
                    version=version,
                    mode=mode,
                    uncertainty=0.1,
                    generation=1,
                )
            )
    return facts_of(f"episode_{number:06d}", outcome, discarded, decisions, PERIOD_NS / 1e9)


SHOWN = episode(1, "success", ("none", "", 2), ("expert", "", 98))
WEAK = episode(
    2, "failure", ("policy", "v1", 100), ("expert", "", 20), ("policy", "v1", 40), ("expert", "", 40)
)
SWAPPED = episode(3, "success", ("policy", "v1", 50), ("policy", "v2", 50))
GOOD = episode(4, "success", ("expert", "", 10), ("policy", "v2", 90))


def test_each_version_has_its_minutes_episodes_and_interventions():
    shown, first, second = by_version([SHOWN, WEAK, SWAPPED, GOOD])
    assert (shown.version, first.version, second.version) == ("", "v1", "v2")
    assert (shown.episodes, shown.successes, shown.per_minute) == (1, 1, None)
    assert first.minutes == pytest.approx(250 / 20 / 60)  # 200 ticks of WEAK, 50 of SWAPPED
    assert (first.episodes, first.successes, first.interventions) == (1, 0, 2)
    assert first.per_minute == pytest.approx(2 / (12.5 / 60))
    low, high = first.per_minute_interval  # 2 events in 12.5 s
    assert low < first.per_minute < high
    assert (low, high) == pytest.approx((2.63, 35.0), rel=0.01)  # (2 + 1.92 -+ 1.96 * sqrt(2.96)) * 4.8
    assert first.expert_minutes == pytest.approx(60 / 20 / 60)
    assert (second.episodes, second.successes, second.alone, second.interventions) == (2, 2, 1, 0)
    assert (shown.labels, first.labels, second.labels) == (98, 60, 10)


def test_the_minutes_of_all_versions_are_those_of_all_episodes():
    episodes = [SHOWN, WEAK, SWAPPED, GOOD]
    assert sum(v.minutes for v in by_version(episodes)) == pytest.approx(
        sum(each.duration_s for each in episodes) / 60
    )


def test_a_pause_between_policy_and_expert_is_still_one_takeover():
    paused = episode(5, "success", ("policy", "v1", 5), ("none", "", 3), ("expert", "", 5), ("none", "", 2),
                     ("expert", "", 5))  # fmt: skip
    assert paused.takeovers == (8,)


def test_drawn_drivers_are_no_takeovers():
    assert episode(6, "success", ("policy", "v1", 5), ("expert", "", 5), mode="dagger").takeovers == ()


def test_discarded_episodes_do_not_count_but_are_listed(tmp_path):
    discarded = episode(5, "failure", ("policy", "v1", 100), discarded=True)
    facts = Facts(
        tmp_path, (SHOWN, WEAK, discarded), tuple(by_version([SHOWN, WEAK])), (("episode_000009", "x"),)
    )
    assert "episodes kept: 2, 0.2 min" in report.text(facts)
    assert "1 discarded" in report.text(facts)
    assert "left out episode_000009: x" in report.text(facts)


def test_the_page_contains_the_numbers_and_the_figures(tmp_path):
    episodes = (SHOWN, WEAK, SWAPPED, GOOD)
    written = page.write(Facts(tmp_path, episodes, tuple(by_version(episodes)), ()), tmp_path / "report")
    text = written.read_text()
    assert "<h1>Session report</h1>" in text  # one and two episodes are no headline
    assert "0 of 1 with the first policy" in text
    assert "<td>v1</td><td>1</td><td>0</td>" in text
    for name in ("episodes", "versions", "labels", "uncertainty"):
        assert f'src="{name}.svg"' in text
        assert "<svg" in (written.parent / f"{name}.svg").read_text()
    record = json.loads((written.parent / "report.json").read_text())
    assert [version["interventions"] for version in record["versions"]] == [0, 2, 0]
    assert record["labels"] == 168


def test_a_folder_without_decisions_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        report.read(tmp_path)


def test_the_page_draws_uncertainty_only_for_episodes_with_a_policy(tmp_path):
    quiet = np.full(len(SHOWN.uncertainties), np.nan)
    shown = dataclasses.replace(SHOWN, uncertainties=quiet, disagreements=quiet)
    episodes = (shown, shown, GOOD)
    page.write(Facts(tmp_path, episodes, tuple(by_version(episodes)), ()), tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    assert "The last 1 episode over" in text
    page.write(Facts(tmp_path, (shown, shown), tuple(by_version([shown, shown])), ()), tmp_path / "first")
    text = (tmp_path / "first" / "index.html").read_text()
    assert "Uncertainty, and distance" not in text  # no empty panels
    assert not (tmp_path / "first" / "uncertainty.svg").exists()


@pytest.mark.parametrize("says", made.odd_decisions())
def test_one_odd_decision_is_left_out_of_the_report_and_named(tmp_path, says):
    made.write(tmp_path, [*made.recorded(10), made.text(5, made.odd_decisions()[says])])
    facts = report.read(tmp_path)
    (episode,) = facts.episodes
    assert (episode.labels, len(episode.drivers)) == (10, 10)
    assert episode.duration_s == pytest.approx(0.5)
    ((name, reason),) = facts.left_out
    assert name == "from episode_000001"
    assert says in reason
    assert "left out from episode_000001: a message of" in report.text(facts)


def test_many_episodes_are_a_headline(tmp_path):
    episodes = (*[SHOWN, WEAK] * 5, *[SWAPPED, GOOD] * 5)
    facts = Facts(tmp_path, episodes, tuple(by_version(episodes)), ())
    text = page.write(facts, tmp_path / "report").read_text()
    assert "<h1>Autonomous success: " in text


def test_episodes_with_cameras_have_pictures_and_a_video_that_a_page_can_play(tmp_path):
    names = [f"episode_{number:06}" for number in range(1, 5)]
    for number, name in enumerate(names, 1):
        assert made.write(tmp_path / "e", made.recorded(10), number=number).name == name
    episodes = tuple(dataclasses.replace(SHOWN, name=name) for name in names)
    facts = Facts(tmp_path / "e", episodes, tuple(by_version(episodes)), ())
    text = page.write(facts, tmp_path / "report").read_text()
    shown = sorted(path.name for path in (tmp_path / "report").glob("*.mp4"))
    assert shown == [f"{name}.mp4" for name in names[1:]]  # the last three
    for name in names[1:]:
        film = cv2.VideoCapture(str(tmp_path / "report" / f"{name}.mp4"))
        assert film.read()[0]
        assert f'src="{name}.mp4"' in text
        assert cv2.imread(str(tmp_path / "report" / f"{name}.png")) is not None


def test_figures_for_a_phone_are_narrow(tmp_path):
    episodes = (SHOWN, WEAK)
    page.write(Facts(tmp_path, episodes, tuple(by_version(episodes)), ()), tmp_path / "report")
    for name in ("episodes", "versions", "labels", "uncertainty"):
        wide, narrow = (
            float(
                re.search(
                    r'<svg [^>]*width="([0-9.]+)pt"', (tmp_path / "report" / f"{each}.svg").read_text()
                )[1]
            )
            for each in (name, f"{name}_narrow")
        )
        assert narrow < 0.65 * wide
        assert (
            f'media="(max-width: 40rem)" srcset="{name}_narrow.svg"'
            in (tmp_path / "report/index.html").read_text()
        )
