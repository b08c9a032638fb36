"""DAgger in one process: drive, label, aggregate, train, and again (Ross, Gordon and Bagnell 2011, alg. 3.1).

Any environment that can run an episode will do: the simulated tasks through `sim.rollout`, gymnasium's in a
few lines. On the robot the supervisor, the recorder and the trainer do the same across processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.interactive.dagger.interaction import DrivenEpisode, Expert, InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.policies.protocol import Observation
from il_ros.policies.runner import LoadedPolicy

Act = Callable[[Observation], Vector | None]
RunEpisode = Callable[[Act, int], bool]
"""Runs one episode with the seed, asking for the command (1, A) at each tick; tells whether it succeeded.

None instead of a command: the expert has given the episode up, and it ends there.
"""


def drive(
    run: RunEpisode, interaction: InteractionLoop, policy: LoadedPolicy | None, expert: Expert, seed: int
) -> DrivenEpisode:
    """Run one episode and return what came of it."""
    driven = DrivenEpisode()
    interaction.begin()

    def act(observation: Observation) -> Vector | None:
        decision = interaction.decide(observation, policy, expert)
        if decision is None:
            return None
        driven.seen.append(observation)
        driven.decisions.append(decision)
        return np.array([decision.sent])

    driven.success = run(act, seed)
    return driven


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
    expert: Expert,
    learner: Learner,
    interaction: InteractionLoop,
    seeds: Sequence[Sequence[int]],
    shown: Sequence[EpisodeArrays] = (),
    policy: LoadedPolicy | None = None,
) -> Iterator[Round]:
    """Yield after each round; round i runs an episode for each of `seeds[i]`.

    `shown`: what was learnt before; their frames count as labels and as driven. `policy`: learnt from them;
    without one the expert must drive alone until something was learnt. Each round's policy is a new version,
    by which the modes count rounds, trained on all episodes from the weights of the one before.
    Raises ValueError when there is nothing to learn from in the first round, or a round has no episode.
    """
    episodes = list(shown)
    labels = expert_ticks = sum(len(episode) for episode in shown)
    takeovers = 0
    for index, chosen in enumerate(seeds):
        if not chosen:
            raise ValueError(f"round {index} has no seed: a round is one episode or more")
        driven_episodes = [drive(run, interaction, policy, expert, seed) for seed in chosen]
        for number, driven in enumerate(driven_episodes):
            episode = driven.episode(f"round_{index:02d}_{number:03d}", learner.contract)
            episodes += [] if episode is None else [episode]
        if not episodes:
            raise ValueError("nothing to learn from: no tick of the first round was labelled")
        policy = learner.learn(episodes, policy, f"round_{index:02d}")
        labels += sum(driven.labels for driven in driven_episodes)
        expert_ticks += sum(driven.expert_ticks for driven in driven_episodes)
        takeovers += sum(len(driven.takeovers_ns) for driven in driven_episodes)
        successes = sum(driven.success for driven in driven_episodes)
        yield Round(index, policy, len(driven_episodes), successes, labels, expert_ticks, takeovers)
