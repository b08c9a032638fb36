"""DAgger in one process: drive, label, aggregate, train, repeat (Ross, Gordon and Bagnell 2011, alg. 3.1).

Any environment that can run an episode is suitable: `in_process.TaskEpisodes` runs those of a task, simulated or of
Gymnasium, and records them.
On the robot the supervisor, the recorder and the trainer do the same in separate processes.
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
from il_ros.records.decision import Decision

Act = Callable[[Observation], Vector | None]
RunEpisode = Callable[[Act, int], bool]
"""Runs one episode with the seed, calling `act` for the command (1, A) of each tick; returns its success.

None instead of a command ends the episode: the expert has given up.
"""


def drive(
    run: RunEpisode,
    interaction: InteractionLoop,
    policy: LoadedPolicy | None,
    expert: Expert,
    seed: int,
    on_decision: Callable[[Decision], None] = lambda _: None,
) -> DrivenEpisode:
    """Run one episode and return its observations, decisions and outcome.

    `on_decision` is called with each decision before its command is sent, such as by a recorder.
    """
    driven = DrivenEpisode()
    interaction.begin()

    def act(observation: Observation) -> Vector | None:
        decision = interaction.decide(observation, policy, expert)
        if decision is None:
            driven.gave_up = True
            return None
        driven.seen.append(observation)
        driven.decisions.append(decision)
        on_decision(decision)
        return np.array([decision.sent])

    driven.success = run(act, seed)
    return driven


@dataclass(frozen=True)
class Round:
    """The policy after a round, and the cost of all rounds so far.

    `labels`: labelled ticks. `expert_ticks`: ticks under expert control. `takeovers`: number of takeovers by
    the expert. `episodes`, `successes` and `given_up` (by the expert) are those of this round.
    """

    index: int
    policy: LoadedPolicy
    episodes: int
    successes: int
    labels: int
    expert_ticks: int
    takeovers: int
    given_up: int = 0


def dagger(
    run: RunEpisode,
    expert: Expert,
    learner: Learner,
    interaction: InteractionLoop,
    seeds: Sequence[Sequence[int]],
    shown: Sequence[EpisodeArrays] = (),
    policy: LoadedPolicy | None = None,
    on_decision: Callable[[Decision], None] = lambda _: None,
) -> Iterator[Round]:
    """Yield the result of each round; round i runs one episode for each of `seeds[i]`.

    `shown`: demonstrations; their frames count as labels and as expert ticks. `policy`: trained on them; None:
    the mode must let the expert drive in the first round. `on_decision`: see `drive`. Each round's policy is a new
    version, which the modes count, trained on all episodes from the previous weights.
    Raises ValueError when the first round gives no label, or a round has no seed.
    """
    episodes = list(shown)
    labels = expert_ticks = sum(len(episode) for episode in shown)
    takeovers = 0
    for index, chosen in enumerate(seeds):
        if not chosen:
            raise ValueError(f"round {index} has no seed: a round needs at least one episode")
        driven_episodes = [drive(run, interaction, policy, expert, seed, on_decision) for seed in chosen]
        for number, driven in enumerate(driven_episodes):
            history = learner.recipe.policy.history
            episode = driven.episode(f"round_{index:02d}_{number:03d}", learner.contract, history)
            episodes += [] if episode is None else [episode]
        if not episodes:
            raise ValueError("no training data: no tick of the first round was labelled")
        policy = learner.learn(episodes, policy, f"round_{index:02d}")
        labels += sum(driven.labels for driven in driven_episodes)
        expert_ticks += sum(driven.expert_ticks for driven in driven_episodes)
        takeovers += sum(len(driven.takeovers_ns) for driven in driven_episodes)
        successes = sum(driven.success for driven in driven_episodes)
        given_up = sum(driven.gave_up for driven in driven_episodes)
        yield Round(index, policy, len(driven_episodes), successes, labels, expert_ticks, takeovers, given_up)
