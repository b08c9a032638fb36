"""Adversarial imitation beside cloning, by own environment steps. Prints one JSON line.

`cartpole`: CartPole of fixed horizon (500 steps, nothing ends it; a step counts 1 while the pole is up and the cart on
its track), as in the package seals, so that the length of an episode tells nothing. `pendulum`: Pendulum-v1. Each of K
seeds has demonstrations of its own. "Reached": the first of three evaluations in a row (10 episodes each) that are at
the goal or above.
The clone is a perceptron of the same size, trained on the same demonstrations (2,000 steps of 64).
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import gymnasium
import numpy as np
import torch
from tqdm import tqdm

from il_ros.rl.agents import AgentSettings
from il_ros.rl.imitation import METHODS, ActionSpace, Imitation, ImitationLearner
from il_ros.rl.networks import Optimiser, SeededMlp
from il_ros.rl.rewards import DiscriminatorSettings
from il_ros.rl.transitions import Scale, Shown, ShownEpisode

TEST_SEED, FINAL_SEED = 50_000, 90_000
CLONE_STEPS = 2000


class FixedHorizon(gymnasium.Wrapper):
    """CartPole that nothing ends before its time limit; the angle is wrapped to -pi..pi."""

    def step(self, action):
        inner: Any = self.env.unwrapped  # CartPole's own attributes
        inner.steps_beyond_terminated = None
        _, _, terminated, truncated, info = self.env.step(action)
        place, speed, angle, turning = inner.state
        inner.state = np.array([place, speed, (angle + np.pi) % (2 * np.pi) - np.pi, turning])
        return inner.state.copy(), float(not terminated), False, truncated, info


def cartpole():
    made = gymnasium.make("CartPole-v1", disable_env_checker=True, max_episode_steps=500)
    return FixedHorizon(made)


def balance(observation):
    """Return the action of a linear regulator."""
    return int(observation @ (0.6, 1.2, 18.0, 3.5) > 0)


def swing_up(observation):
    """Return a torque: energy shaping, and a linear regulator near the top."""
    cosine, sine, speed = observation
    angle = np.arctan2(sine, cosine)
    energy = speed**2 / 6 + 5 * cosine - 5
    if cosine > 0.8 and abs(speed) < 5:
        torque = -12 * angle - 3 * speed
    else:
        torque = -2 * np.sign(speed * energy) if abs(speed) > 1e-3 else 2.0
    return np.clip([torque], -2, 2).astype(np.float32)


TASKS = {
    "cartpole": (cartpole, balance, 475.0, AgentSettings(), DiscriminatorSettings(), 500, 5000),
    "pendulum": (
        lambda: gymnasium.make("Pendulum-v1", disable_env_checker=True),
        swing_up,
        -200.0,
        AgentSettings(discount=0.99),
        DiscriminatorSettings(rate=3e-4),
        1000,
        10_000,
    ),
}


def demonstration(environment, expert, space, seed):
    """Return one demonstration and its return."""
    observation, _ = environment.reset(seed=seed)
    observations, actions, total, ended = [observation], [], 0.0, False
    while not ended:
        actions.append(expert(observation))
        observation, reward, terminated, truncated, _ = environment.step(actions[-1])
        observations.append(observation)
        total += float(reward)
        ended = terminated or truncated
    return ShownEpisode(np.array(observations, float), space.to_unit(np.array(actions)), terminated), total


def returns(environments, act, episodes, first_seed):
    """Return the returns (K, episodes) of K policies; `act` maps observations (K, 1, O) to actions (K, 1, ...)."""
    found = np.zeros((len(environments), episodes))
    for episode in range(episodes):
        seen = [each.reset(seed=first_seed + episode)[0] for each in environments]
        running = [True] * len(environments)
        while any(running):
            actions = act(np.array(seen, float)[:, None])
            for index, environment in enumerate(environments):
                if running[index]:
                    seen[index], reward, terminated, truncated, _ = environment.step(actions[index, 0])
                    found[index, episode] += float(reward)
                    running[index] = not (terminated or truncated)
    return found


def clone(sets, space, hidden, seed):
    """Return `act` of perceptrons trained on the demonstrations: cross-entropy, or the squared error of tanh."""
    scales = [Scale(episodes) for episodes in sets]
    shown, rng = Shown(sets, scales), torch.Generator().manual_seed(seed)
    network = SeededMlp(len(sets), (scales[0].size, hidden, hidden, space.size), rng)
    optimiser = Optimiser(network, 1e-3)
    for _ in range(CLONE_STEPS):
        batch = shown.draw(64, rng)
        answer = network(batch.observation)
        if space.numbered:
            loss = torch.nn.functional.cross_entropy(answer.flatten(0, 1), batch.action.flatten()) * len(sets)
        else:
            loss = (torch.tanh(answer) - batch.action).square().mean(dim=(1, 2)).sum()
        optimiser.step(loss)

    def act(observations):
        seen = np.stack([scale(each) for scale, each in zip(scales, observations, strict=True)])
        with torch.no_grad():
            answer = network(torch.from_numpy(seen))
        chosen = answer.argmax(dim=-1) if space.numbered else torch.tanh(answer)
        return space.to_environment(chosen.numpy())

    return act


def reached(curve, goal, seed):
    """Return the step of the first of three evaluations in a row at the goal, or None."""
    right = [values[seed] >= goal for _, values in curve]
    return next((curve[k][0] for k in range(len(curve) - 2) if all(right[k : k + 3])), None)


def run(task, method, shown, seeds, steps, every):
    make, expert, goal, agent, discriminator, random_steps, usual = TASKS[task]
    environments, tests = ([make() for _ in range(seeds)] for _ in range(2))
    space = ActionSpace(environments[0].action_space)
    pairs = [
        [demonstration(tests[0], expert, space, 1000 * (seed + 1) + k) for k in range(shown)]
        for seed in range(seeds)
    ]
    sets = [[episode for episode, _ in each] for each in pairs]
    row = {
        "task": task,
        "method": method,
        "demonstrations": shown,
        "expert": [round(float(np.mean([total for _, total in each])), 1) for each in pairs],
    }
    if method == "clone":
        final = returns(tests, clone(sets, space, agent.hidden, 0), 50, FINAL_SEED)
        return row | {"final": final.mean(axis=1).round(1).tolist()}
    if method == "airl":
        agent = AgentSettings(discount=agent.discount, temperature=1.0)
    settings = Imitation(method, steps or usual, random_steps, agent=agent, discriminator=discriminator)
    learner, curve = ImitationLearner(settings, environments, sets), []
    bar = tqdm(total=settings.steps, desc=f"{task}, {method}", leave=False, disable=None)
    began_s, tested_s = time.process_time(), 0.0

    def on_step(progress):
        nonlocal tested_s
        bar.update()
        if progress.step % every == 0 and progress.step > random_steps:
            before_s = time.process_time()
            curve.append(
                (progress.step, returns(tests, learner.act, 10, TEST_SEED).mean(axis=1).round(1).tolist())
            )
            bar.set_postfix_str(f"{min(curve[-1][1]):g} to {max(curve[-1][1]):g}")
            tested_s += time.process_time() - before_s
        return True

    learner.run(on_step)
    bar.close()
    learnt_s = time.process_time() - began_s - tested_s
    final = returns(tests, learner.act, 50, FINAL_SEED)
    return row | {
        "steps": settings.steps,
        "reached": [reached(curve, goal, seed) for seed in range(seeds)],
        "final": final.mean(axis=1).round(1).tolist(),
        "cpu_s_a_seed": round(learnt_s / seeds, 1),
        "curve": curve,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=tuple(TASKS), default="cartpole")
    parser.add_argument(
        "--methods", default="clone,gail,gail_states,airl,sqil", help=f"of clone, {', '.join(METHODS)}"
    )
    parser.add_argument("--demonstrations", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=0, help="own steps of each seed (default: as the task says)"
    )
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations")
    args = parser.parse_args()
    rows = []
    for method in args.methods.split(","):
        rows.append(run(args.task, method, args.demonstrations, args.seeds, args.steps, args.every))
        print(
            json.dumps({key: value for key, value in rows[-1].items() if key != "curve"}),
            file=sys.stderr,
            flush=True,
        )
    print(json.dumps({"bench": "adversarial", "rows": rows}))


if __name__ == "__main__":
    main()
