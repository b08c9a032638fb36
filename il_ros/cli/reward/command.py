"""`il-ros reward`: train reward models from episodes, and let a reward model rate recorded episodes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import options
from il_ros.cli.reward import train
from il_ros.cli.reward.train import judged, judges, tell_left_out
from il_ros.core import atomic
from il_ros.core.progress import with_progress
from il_ros.core.tables import counted, say, seconds, table, worded
from il_ros.episodes.catalogue import require_episodes
from il_ros.policies.lineage import CheckpointError
from il_ros.rewards.folders import find_reward

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.arrays.episode import EpisodeArrays
    from il_ros.rewards.checkpoint import LoadedReward
    from il_ros.training.rewards.plots import Chart
    from il_ros.training.rewards.rating import Rated

_EXAMPLES = """\
examples:
  il-ros reward train episodes --out reward/v1        a success model from the verdicts of episodes
  il-ros reward train episodes --family progress --out reward/v2     how much of the task is done, 0 to 1
  il-ros reward train episodes --family cells --set inputs=[pose] --set cell=0.1      of a map, by maximum-entropy IRL
  il-ros train episodes --recipe gail --out checkpoint/v1       GAIL and AIRL are learnt beside a policy
  il-ros reward rank episodes --reward reward/v1      episodes by their return, with the verdict beside it
  il-ros reward rank episodes --worst --first 5 --folders | xargs il-ros episodes discard      leave the worst out
  il-ros reward mark episodes --reward reward/v1      its verdict for unmarked episodes, where it is sure
  il-ros reward plot 12 --reward checkpoint/v1        the reward along an episode, under its pictures
"""
STILLS = 7


def add_parser(subparsers: Any) -> None:
    """Add the subcommand with its verbs."""
    parser = subparsers.add_parser(
        "reward",
        help="train reward models, and rate episodes with them",
        description="Train a success or progress model from verdicts, or a reward of a map by maximum-entropy IRL, and "
        "rate recorded episodes with any reward model. Those of GAIL and AIRL are learnt beside a policy, by `il-ros "
        "train`. See docs/rewards.md.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    train.add_verb(verbs)
    verb = verbs.add_parser("rank", help="list episodes by their return under a reward model")
    verb.add_argument(
        "data",
        nargs="?",
        type=Path,
        default=Path("episodes"),
        metavar="EPISODES",
        help="(default: ./episodes)",
    )
    _add_reward(verb)
    verb.add_argument("--worst", action="store_true", help="the smallest return first")
    verb.add_argument("--first", type=int, metavar="N", help="only so many")
    verb.add_argument(
        "--folders", action="store_true", help="print nothing but the folders, for other commands"
    )
    verb.set_defaults(act=_rank)
    verb = verbs.add_parser(
        "mark",
        help="give unmarked episodes the verdict of a success model, where it is sure",
        description="Give unmarked episodes the verdict of a success model, where it is sure. What a person marked "
        "stays, what a model marked is marked again, and no success model learns from it.",
    )
    options.add_data(verb)
    _add_reward(verb)
    verb.add_argument(
        "--sure",
        type=float,
        default=0.9,
        metavar="P",
        help="a success from this probability on, a failure up to 1 - P, else unmarked (default: 0.9)",
    )
    verb.set_defaults(act=_mark)
    verb = verbs.add_parser("plot", help="plot the reward along an episode, under its pictures")
    options.add_episode(verb)
    options.add_root(verb)
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: EPISODE_reward.png here")
    _add_reward(verb)
    verb.set_defaults(act=_plot)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return 0, 1 when a training failed, or 2 with the reason on stderr."""
    from il_ros.episodes.bag.reader import BagError
    from il_ros.episodes.bag.topics import MismatchError

    try:
        return int(args.act(args))
    except (ValueError, OSError, BagError, MismatchError) as error:
        say(f"il-ros reward {args.verb}: {worded(error)}", file=sys.stderr)
        return 2


def _add_reward(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reward",
        type=Path,
        default=Path("reward"),
        metavar="FOLDER",
        help="a reward model, or a training that learnt one (default: ./reward)",
    )


def _loaded(reward: Path, data: Path) -> LoadedReward:
    """Return the reward model; a misspelt folder, also of the episodes, is named before torch is imported."""
    require_episodes(data)
    try:
        find_reward(reward)
    except CheckpointError as error:
        raise ValueError(f"--reward {error}") from error
    from il_ros.rewards import checkpoint

    return checkpoint.load(reward)


def _rated(args: argparse.Namespace, reward: LoadedReward) -> Iterator[Rated]:
    from il_ros.training.rewards.rating import rate

    dataset = _opened(args.data, reward)
    if not getattr(args, "folders", False):
        tell_left_out(dataset)
    for episode in with_progress(dataset.train, "rating", "episode"):
        yield rate(reward, episode)


def _opened(root: Path, reward: LoadedReward, names: tuple[str, ...] = ()) -> Dataset:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Selection
    from il_ros.records.labelling import BY_MODE, SENT
    from il_ros.rewards.settings import FrameSettings

    rule, history = BY_MODE, 1
    if isinstance(reward.settings, FrameSettings):  # these judge whoever drove; others rate what was done
        rule, history = SENT, reward.settings.history(reward.contract)
    return Dataset.open(
        root,
        reward.contract,
        Selection(names=names, poor=True),
        validation=0.0,
        rule=rule,
        history=history,
        progress=lambda entries: with_progress(entries, "reading", "episode"),
    )


def _rank(args: argparse.Namespace) -> int:
    if args.first is not None and args.first < 1:
        raise ValueError(f"--first is {args.first}; it must be 1 or more")
    reward = _loaded(args.reward, args.data)
    found = sorted(_rated(args, reward), key=lambda rated: rated.total, reverse=not args.worst)[: args.first]
    if args.folders:
        for rated in found:
            say(str(args.data / rated.episode.name))
        return 0
    seen = ("success seen s",) if judges(reward) else ()  # other models see no success
    rows = [
        (
            rated.episode.name,
            rated.episode.outcome,
            f"{rated.total:.4g}",
            f"{rated.reward.mean():.4g}" if len(rated.reward) else "-",
            *(seconds(rated.fired_s) for _ in seen),
            seconds(rated.episode.duration_s),
        )
        for rated in found
    ]
    header = ("episode", "verdict", "return", "mean", *seen, "s")
    say(table(header, rows, right=header[2:]))
    say(f"\nreward {reward.version} ({reward.family}), {counted(len(found), 'episode')}")
    if judges(reward) and (marked := [each for each in found if each.episode.outcome != "unmarked"]):
        say(f"verdicts met: {judged(marked)}")
    return 0


def _mark(args: argparse.Namespace) -> int:
    if not 0.5 < args.sure < 1:
        raise ValueError(f"--sure is {args.sure:g}; it must be above 0.5 and below 1")
    reward = _loaded(args.reward, args.data)
    from il_ros.records.outcomes import UNMARKED
    from il_ros.training.rewards.marking import mark, verdict_of

    rows, kept = [], 0
    for rated in _rated(args, reward):
        verdict = verdict_of(reward, rated, args.sure)
        try:
            mark(args.data / rated.episode.name, verdict, reward.version)
        except ValueError:
            kept += 1
            continue
        rows.append((rated.episode.name, verdict.outcome, f"{verdict.probability:.2f}"))
    if rows:
        say(table(("episode", "verdict", "p of success"), rows, right=("p of success",)) + "\n")
    unsure = sum(row[1] == UNMARKED for row in rows)
    say(
        f"reward {reward.version}: {counted(len(rows) - unsure, 'episode')} marked, {unsure} left unmarked, "
        f"{kept} marked by a person or without a description"
    )
    say(f"next: il-ros train {args.data} --outcome success")
    return 0


def _plot(args: argparse.Namespace) -> int:
    from il_ros.cli.episodes.choice import one_folder
    from il_ros.episodes.bag.reader import open_bag
    from il_ros.episodes.catalogue import look
    from il_ros.episodes.video import VideoError, require_suffix, stills

    os.environ.setdefault("MPLBACKEND", "agg")
    folder = one_folder(args.episode, args.root)
    output = args.output or Path(f"{folder.name}_reward.png")
    require_suffix(output, (".png",))
    atomic.require_own(output)
    reward = _loaded(args.reward, folder.parent)
    from il_ros.training.rewards import plots
    from il_ros.training.rewards.rating import rate

    (episode,) = _opened(folder.parent, reward, (folder.name,)).train
    rated = rate(reward, episode)
    try:
        pictures = stills(open_bag(folder), look(folder).info, STILLS)
    except VideoError:  # without cameras, there is the curve alone
        pictures = []
    title = f"{folder.name}: reward {reward.version} ({reward.family})"
    plots.draw(output, rated, pictures, title, _chart(reward, episode))
    say(f"return {rated.total:.4g}, verdict {episode.outcome}; written: {output}")
    return 0


def _chart(reward: LoadedReward, episode: EpisodeArrays) -> Chart | None:
    """Return the map of a reward of cells with the episode's way; None of other rewards."""
    import numpy as np

    from il_ros.irl.reward_models import heat_of
    from il_ros.rewards.cells import CellReward
    from il_ros.rewards.registry import inputs_of
    from il_ros.rewards.watch import window_of
    from il_ros.training.rewards.plots import Chart

    if not isinstance(reward.network, CellReward):
        return None
    windows = (window_of(reward, episode.observation(row)) for row in range(len(episode)))
    way = np.array([reward.network.cells(window)[0].numpy() for window in windows])
    placed: Any = reward.settings
    inputs = inputs_of(reward.contract, placed)
    units = (f" [{unit}]" if unit else "" for unit in inputs.units)
    names = [f"{name}{unit}" for name, unit in zip(inputs.features_of, units, strict=True)]
    first, second = (names[axis] for axis in placed.axes)
    return Chart(heat_of(reward), way, (first, second), placed.low, placed.cell)
