"""Promotion checks: do they distinguish degraded policies from corrected ones?

DAgger in one process, with episodes held out like in the trainer. After each round the promotion criteria
compare the candidate with the policy in control, and both are evaluated over held-out starts. So are three
deliberately degraded candidates: `forgot`, trained on the round's episodes only; `hasty`, trained on all
episodes for 150 steps from fresh weights, and `short`, for 600. Each round's candidate controls the next
round, whatever the decision. Writes OUT/gate_TASK_METHOD_SEED.json, and prints the summary as one JSON line.

    python bench/learning/promotion.py --task drive --method "dagger step:1"
"""

import argparse
import json
import math
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from dagger_tasks import Lab
from success import log_result

from il_ros.episodes.arrays.dataset import validation_names
from il_ros.interactive.dagger.rounds import drive
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.promotion import criteria
from il_ros.interactive.promotion.replays import REPLAYED
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import task_names
from il_ros.training.evaluate import evaluate

LIMITS = criteria.PromotionLimits()
BROKEN_IN = (0, 3)
"""Rounds in which degraded candidates are trained."""


class PromotionCheck:
    """The state of a round: the policy in control, and the held-out frames."""

    def __init__(self, lab, driving, learnt, train, held_out):
        self.lab, self.driving = lab, driving
        unseen = [episode for episode in held_out if episode.name not in learnt]
        self.new = [episode for episode in train if episode.name not in learnt]
        known = [episode for episode in train if episode.name in learnt]
        self.frames = {
            "held_out": list(criteria.frames(unseen or held_out, REPLAYED)),
            "new": list(criteria.frames(self.new, REPLAYED)),
            "known": list(criteria.frames(known, REPLAYED)),
        }

    def errors(self, policy):
        apart = self.driving.difference
        return {
            kind: criteria.replay_error(policy.act, frames, apart) for kind, frames in self.frames.items()
        }

    def judged(self, kind, candidate):
        before, now = self.errors(self.driving), self.errors(candidate)
        refused = criteria.judge_held_out(now["held_out"], before["held_out"], LIMITS)
        refused = refused or criteria.judge_new(now["new"], before["new"], LIMITS)
        refused = refused or criteria.judge_known(now["known"], before["known"], LIMITS)
        return {
            "kind": kind,
            "held_out": [round(each["held_out"], 4) for each in (before, now)],
            "new": [round(each["new"], 4) for each in (before, now)],
            "known": [round(each["known"], 4) for each in (before, now)],
            "successes": [successes(self.lab, each) for each in (self.driving, candidate)],
            "refused": refused,
        }


def successes(lab, policy):
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + lab.args.episodes)
    return evaluate(policy, lab.contract, lab.task, seeds).successes


def split(episodes, training):
    frames = {episode.name: len(episode) for episode in episodes}
    held_out = validation_names(frames, training.validation, 0, training.validation_most)
    return (
        [episode for episode in episodes if episode.name not in held_out],
        [episode for episode in episodes if episode.name in held_out],
    )


def rounds(args):
    """Yield the measurements of each candidate."""
    lab = Lab(args, args.seed, args.first)
    training = lab.learner(0).recipe.training
    episodes, interaction = list(lab.shown), lab.teaching_of(args.method)
    train, _ = split(episodes, training)
    driving, learnt = lab.learner(args.steps).learn(train), {episode.name for episode in train}
    for index in range(args.rounds):
        for number in range(index * args.per_round, (index + 1) * args.per_round):
            driven = drive(lab.teach, interaction, driving, lab.expert, lab.first_seed + 5000 + number)
            episode = driven.episode(f"lesson_{number:03d}", lab.contract)
            episodes += [] if episode is None else [episode]
        train, held_out = split(episodes, training)
        steps = args.warm_epochs * math.ceil(sum(map(len, train)) / training.batch_size)
        check = PromotionCheck(lab, driving, learnt, train, held_out)
        candidate = lab.learner(steps).learn(train, driving, f"round_{index:02d}")
        made = {"candidate": candidate}
        if index in BROKEN_IN:
            made["forgot"] = lab.learner(steps).learn(check.new, driving)
            made |= {kind: lab.learner(few).learn(train) for kind, few in (("hasty", 150), ("short", 600))}
        for kind, policy in made.items():
            yield log_result({"round": index, **check.judged(kind, policy)})
        driving, learnt = candidate, {episode.name for episode in train}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--method", default="dagger exponential:0.5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=40, help="held-out episodes of each policy")
    parser.add_argument("--first", type=int, default=10, help="demonstrations to begin with")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--per-round", type=int, default=4, help="episodes of each round")
    parser.add_argument("--queried", type=float, default=1.0, help="share of the policy's ticks labelled")
    parser.add_argument("--requests-per-hour", type=int, default=360, help="budget of 'gated'")
    parser.add_argument("--steps", type=int, default=20000, help="gradient steps from fresh weights")
    parser.add_argument("--warm-epochs", type=int, default=100, help="of a round's training")
    parser.add_argument("--recipe", default="ensemble")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    args.set, args.release = [], GatedOptions().release
    rows = list(rounds(args))
    found = {"bench": "gate", "settings": vars(args) | {"out": str(args.out)}, "rows": rows}
    name = f"gate_{args.task}_{args.method}_{args.seed}.json".replace(" ", "_").replace(":", "_")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / name).write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
