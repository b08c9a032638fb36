"""DAgger in one process: drive, label, aggregate, train, and again (Ross, Gordon and Bagnell 2011, alg. 3.1).

Any environment that can run an episode will do: the simulated tasks through `sim.rollout`, gymnasium's in a
few lines. On the robot the supervisor, the recorder and the trainer do the same across processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from il_ros import actions
from il_ros.contract import Contract
from il_ros.episodes.arrays import Array, EpisodeArrays
from il_ros.interactive.driving import Driver, Tick
from il_ros.interactive.learner import Learner
from il_ros.policies.protocol import Observation, Policy
from il_ros.policies.runner import LoadedPolicy
from il_ros.specs import Vector

Act = Callable[[Observation], Vector]
RunEpisode = Callable[[Act, int], bool]
"""Runs one episode with the seed, asking for the command (1, A) at each tick; tells whether it succeeded."""


@dataclass
class Lesson:
    """One episode as it is driven. `labelled`: ticks, observations and labels of those that teach."""

    labelled: list[tuple[int, Observation, Vector]] = field(default_factory=list)
    ticks: int = 0
    expert_ticks: int = 0
    takeovers: int = 0
    success: bool = False

    def episode(self, name: str, contract: Contract) -> EpisodeArrays | None:
        """Return what is to be learnt, None when that is nothing."""
        if not self.labelled:
            return None
        numbers, seen, labels = zip(*self.labelled, strict=True)
        observations: dict[str, Array] = {
            spec.key: np.array([each[spec.key] for each in seen]) for spec in contract.observations
        }
        learnt = [actions.relative(contract, label, each) for label, each in zip(labels, seen, strict=True)]
        return EpisodeArrays(
            name,
            observations,
            np.array(labels),
            np.array(labels) - np.array(learnt),
            (np.array(numbers, dtype=np.int64) + 1) * contract.period_ns,
            contract.period_ns,
            "success" if self.success else "failure",
        )


def drive(run: RunEpisode, driver: Driver, policy: LoadedPolicy | None, expert: Policy, seed: int) -> Lesson:
    """Run one episode under a driver and return what came of it; without a policy the expert's stands in."""
    lesson = Lesson()
    expert_drove = True
    driver.begin()

    def act(observation: Observation) -> Vector:
        nonlocal expert_drove
        shown = expert.act(observation)[0]
        chunk, doubt = (shown[None], None) if policy is None else policy.act_with_doubt(observation)
        choice = driver.choose(Tick(chunk[0], shown, doubt))
        if choice.label is not None:
            lesson.labelled.append((lesson.ticks, observation, choice.label))
        lesson.ticks += 1
        lesson.expert_ticks += choice.expert
        lesson.takeovers += choice.expert and not expert_drove
        expert_drove = choice.expert
        return choice.sent[None]

    lesson.success = run(act, seed)
    return lesson


@dataclass(frozen=True)
class Round:
    """The policy after a round, and what all rounds so far took.

    `labels`: ticks at which the expert said what to do. `expert_ticks`: those it drove. `takeovers`: how
    often it took over from the policy. `successes` of the round's own `episodes`.
    """

    index: int
    policy: LoadedPolicy
    episodes: int
    successes: int
    labels: int
    expert_ticks: int
    takeovers: int


def dagger(
    run: RunEpisode,
    expert: Policy,
    learner: Learner,
    driver_of: Callable[[int], Driver],
    seeds: Sequence[Sequence[int]],
    shown: Sequence[EpisodeArrays] = (),
    policy: LoadedPolicy | None = None,
) -> Iterator[Round]:
    """Yield after each round; round i runs an episode for each of `seeds[i]` under `driver_of(i)`.

    `shown`: what was learnt before; their frames count as labels and as driven. `policy`: learnt from them;
    without one, a round's policy stands in for the expert until something was learnt.
    Each round trains on all episodes from the weights of the one before. Raises ValueError when there is
    nothing to learn from in the first round, or a round has no episode.
    """
    episodes = list(shown)
    labels = expert_ticks = sum(len(episode) for episode in shown)
    takeovers = 0
    for index, chosen in enumerate(seeds):
        if not chosen:
            raise ValueError(f"round {index} has no seed: a round is one episode or more")
        driver = driver_of(index)
        lessons = [drive(run, driver, policy, expert, seed) for seed in chosen]
        for number, lesson in enumerate(lessons):
            episode = lesson.episode(f"round_{index:02d}_{number:03d}", learner.contract)
            episodes += [] if episode is None else [episode]
        if not episodes:
            raise ValueError("nothing to learn from: no tick of the first round was labelled")
        policy = learner.learn(episodes, policy)
        labels += sum(len(lesson.labelled) for lesson in lessons)
        expert_ticks += sum(lesson.expert_ticks for lesson in lessons)
        takeovers += sum(lesson.takeovers for lesson in lessons)
        successes = sum(lesson.success for lesson in lessons)
        yield Round(index, policy, len(lessons), successes, labels, expert_ticks, takeovers)
