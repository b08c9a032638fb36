"""Arrays of episodes under a contract with several action groups."""

import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.core.specs import WHOLE
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.replay import Frame, open_replay
from il_ros.episodes.bag.reader import BagMessage, open_bag
from il_ros.episodes.catalogue import scan
from il_ros.episodes.layout import load_info
from il_ros.episodes.plots import plot_episode
from il_ros.records import proposal
from il_ros.records.decision import GroupDecision
from il_ros.records.labelling import DRIVEN
from il_ros.records.proposal import Proposal
from il_ros.session import report
from il_ros.session.facts import GroupFacts
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

NAN = np.nan
TEXT = made.TEXT + "groups: {arm: [arm], hand: [gripper]}\n"
OWN = contracts.parse(TEXT, "grouped.yaml")
ACTIONS = {"arm": (0, 1), "hand": (2,)}
ARM, HAND = "pppeeepppe", "ppeeppppe-"
"""The driver of each group at ten ticks: p the policy, e the expert, - none."""
DRIVERS = {"p": "policy", "e": "expert", "-": "none"}


def decided(tick, arm, hand, **changes):
    sources = {"arm": DRIVERS[arm], "hand": DRIVERS[hand]}
    groups = {
        name: GroupDecision(ACTIONS[name], source, "why", "v1" if source == "policy" else "")
        for name, source in sources.items()
    }
    given = {"authority": "+".join(dict.fromkeys(sources.values())), "mode": "hg_dagger", "groups": groups}
    return made.decision(tick, **{**given, **changes})


def episode(tmp_path, items=None, text=TEXT):
    """Write an episode of ten ticks; the command at tick k is [k + 1, k + 2, 0.05]."""
    observed = [part for tick in range(10) for part in (made.image(tick), made.joints(tick))]
    both = enumerate(zip(ARM, HAND, strict=True))
    items = [decided(tick, arm, hand) for tick, (arm, hand) in both] if items is None else items
    return made.write(tmp_path, [*observed, *items], text=text)


def replayed(folder, own=OWN, **options):
    return list(open_replay(open_bag(folder), own, load_info(folder), **options))


def frames(found):
    return [each for each in found if isinstance(each, Frame)]


def test_a_tick_with_a_label_of_one_group_is_a_frame(tmp_path):
    found = replayed(episode(tmp_path))
    commands = [each.command.tolist() for each in frames(found)]
    np.testing.assert_array_equal(
        commands, [[NAN, NAN, 0.05], [4, 5, 0.05], [5, 6, NAN], [6, 7, NAN], [NAN, NAN, 0.05], [10, 11, NAN]]
    )
    assert frames(found)[0].authorities == {"arm": "policy", "hand": "expert"}
    assert [each.tick_ns for each in found if not isinstance(each, Frame)] == [
        made.stamp(tick) for tick in (0, 1, 6, 7)
    ]


def test_the_arrays_hold_authority_labels_and_takeovers_of_each_group(tmp_path):
    episode(tmp_path)
    (arrays,) = Dataset.open(tmp_path, OWN, validation=0).train
    np.testing.assert_array_equal(arrays.labelled, [[0, 1], [1, 1], [1, 0], [1, 0], [0, 1], [1, 0]])
    assert arrays.authorities["hand"] == ("expert", "expert", "policy", "policy", "expert", "none")
    assert arrays.group_takeovers_ns == {
        "arm": (made.stamp(3), made.stamp(9)), "hand": (made.stamp(2), made.stamp(8)),
    }  # fmt: skip
    assert arrays.takeovers_ns == tuple(made.stamp(tick) for tick in (2, 3, 8, 9))
    assert arrays.authority[0] == "policy+expert"


def test_the_summary_says_how_many_labels_each_group_has(tmp_path):
    episode(tmp_path)
    lines = Dataset.open(tmp_path, OWN, validation=0).summary.lines()
    assert "  frames with a label, by action group: arm 4, hand 3" in lines
    lines = Dataset.open(tmp_path, made.CONTRACT, validation=0).summary.lines()
    assert not any("group" in line for line in lines)


def test_a_group_without_any_label_cannot_be_trained(tmp_path):
    items = [decided(tick, "e", "p") for tick in range(10)]
    episode(tmp_path / "episodes", items)
    data = Dataset.open(tmp_path / "episodes", OWN, validation=0)
    recipe = changed(Recipe(), ["hidden=[4]", "epochs=1", "inputs=[joints]"])
    with pytest.raises(ValueError, match="no frame has a label of the action group 'hand'"):
        train(data, recipe, tmp_path / "v1")


def test_a_contract_without_groups_takes_only_labels_of_all_actions(tmp_path):
    """Otherwise the policy's own commands would be learnt."""
    found = replayed(episode(tmp_path), made.CONTRACT)
    (one,) = frames(found)
    assert one.command.tolist() == [4, 5, 0.05]
    assert one.authorities == {WHOLE: "expert"}
    reasons = {each.reasons[0] for each in found if not isinstance(each, Frame)}
    assert "only a part of its actions has a label: policy+expert had authority" in reasons


def test_a_contract_with_other_groups_and_another_order_finds_its_own(tmp_path):
    """The gripper comes first; the arm's two numbers are in one group with it."""
    arm, gripper = made.TEXT.index("  arm:"), made.TEXT.index("  gripper: {topic")
    text = made.TEXT[:arm] + made.TEXT[gripper:] + made.TEXT[arm:gripper]
    turned = contracts.parse(text + "groups: {g: [gripper], a: [arm]}\n", "turned.yaml")
    found = frames(replayed(episode(tmp_path), turned))
    np.testing.assert_array_equal(
        [each.command for each in found][:3], [[0.05, NAN, NAN], [0.05, 4, 5], [NAN, 5, 6]]
    )
    assert found[0].authorities == {"g": "expert", "a": "policy"}


def test_a_bag_of_before_gives_the_same_labels_to_each_group(tmp_path):
    items = [made.decision(tick, mode="hg_dagger", authority=DRIVERS["ppe"[tick % 3]]) for tick in range(10)]
    folder = episode(tmp_path, items, made.TEXT)
    with_groups, without = frames(replayed(folder)), frames(replayed(folder, made.CONTRACT))
    np.testing.assert_array_equal([one.command for one in with_groups], [one.command for one in without])
    assert with_groups[0].authorities == {"arm": "expert", "hand": "expert"}


def test_for_inspection_a_number_counts_wherever_a_source_drove(tmp_path):
    found = frames(replayed(episode(tmp_path), rule=DRIVEN))
    assert len(found) == 10
    np.testing.assert_array_equal(found[9].command, [10, 11, NAN])


def late(tick, values, groups):
    chunk = np.array([values], dtype=float)
    one = Proposal("expert", made.stamp(tick), chunk, groups=groups)
    raw = proposal.encode(one, OWN.action_names, OWN.period_ns, OWN.groups)
    return BagMessage("/expert/proposal", proposal.TYPE, raw, made.stamp(tick) + 6 * made.MS)


def test_late_proposals_of_single_groups_complete_a_label(tmp_path):
    """In mode dagger the expert's proposals label the policy's ticks; here each group's comes by itself."""
    items = [decided(tick, "p", "p", mode="dagger") for tick in range(10)]
    items += [late(2, (0.1, 0.2, NAN), ("arm",)), late(2, (NAN, NAN, 0.3), ("hand",))]
    items += [late(5, (NAN, NAN, 0.4), ("hand",)), late(7, (0.5, 0.6, 0.7), ())]
    found = frames(replayed(episode(tmp_path, items)))
    np.testing.assert_array_equal(
        [each.command for each in found], [[0.1, 0.2, 0.3], [NAN, NAN, 0.4], [0.5, 0.6, 0.7]]
    )


def test_arrays_are_made_again_when_a_contract_gets_groups(tmp_path):
    episode(tmp_path)
    (entry,) = scan(tmp_path).usable
    folder = cache.cache_folder(tmp_path)
    assert len(cache.Conversion(made.CONTRACT, folder).load(entry)) == 1
    assert len(cache.Conversion(OWN, folder).load(entry)) == 6
    assert len(cache.Conversion(made.CONTRACT, folder).load(entry)) == 1


def test_the_report_has_a_line_for_each_group(tmp_path):
    """A tick lasts 0.05 s."""
    episode(tmp_path)
    facts = report.read(tmp_path)
    assert facts.groups["arm"] == GroupFacts(pytest.approx(0.2), 4, 2)
    assert facts.groups["hand"] == GroupFacts(pytest.approx(0.15), 3, 2)
    assert facts.episodes[0].expert_s == pytest.approx(0.3)  # at six ticks it drove a group
    assert facts.episodes[0].takeovers == (2, 3, 8, 9)
    assert "  hand: the expert drove 0.0 min, 3 labels, 2 takeovers" in report.text(facts)


def test_an_episode_with_groups_is_drawn(tmp_path):
    episode(tmp_path)
    (arrays,) = Dataset.open(tmp_path, OWN, validation=0, rule=DRIVEN).train
    plot_episode(arrays, OWN, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
