"""GAIL and AIRL of the package `imitation`, tuned, on the demonstrations that `adversarial.py --save` kept.

It needs an environment of its own, and imports nothing of il_ros:

    python3.11 -m venv peer && peer/bin/pip install torch==2.13.0
    peer/bin/pip install imitation==1.0.1 Box2D==2.3.10 "numpy<2" "pandas<3" "matplotlib<3.11" mujoco==2.3.7 imageio
    python adversarial.py --task cartpole --methods gail,airl --save shown          # ours, in the same session
    peer/bin/python adversarial_peer.py --task cartpole --shown shown --algorithms gail,airl

Settings: those of the library's benchmarks for seals/CartPole with roll-outs of 256 steps of 8 environments, which need
fewer steps than the 2,048 of its tutorial (PPO of Stable-Baselines3, gamma 0.95, 5 passes, batches of 64; GAIL: rate
4e-4, 8 updates of the discriminator a round; AIRL: 5e-4, 16 updates, clip 0.1, a shaped reward). With `--tuned` those
that the library ships for seals/Hopper, tuned for 10 million steps (`scripts/config/tuned_hps`). "Reached": the first
of three evaluations in a row, of 10 episodes each, at the goal. Prints one JSON line per algorithm and seed.
"""

import argparse
import json
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
from fixed_cartpole import cartpole

ENVIRONMENTS, TESTS = 8, 10


@dataclass(frozen=True)
class Settings:
    """Those of PPO, the frames of a batch of demonstrations, the remembered own ones, the updates of a round.

    `normalised`: whether policies and rewards are scaled by running means, as in the library's own training script.
    """

    ppo: dict
    shown: int
    memory: int
    updates: int
    normalised: bool = False


SHORT = {"n_steps": 256, "batch_size": 64, "ent_coef": 0.0, "gamma": 0.95, "n_epochs": 5}
LONG = {
    "batch_size": 512,
    "clip_range": 0.1,
    "gae_lambda": 0.98,
    "gamma": 0.995,
    "max_grad_norm": 0.9,
    "n_epochs": 20,
    "vf_coef": 0.20315938606555833,
}
SETTINGS = {
    "gail": Settings({**SHORT, "learning_rate": 4e-4}, 1024, 512, 8),
    "airl": Settings({**SHORT, "learning_rate": 5e-4, "clip_range": 0.1, "vf_coef": 0.1}, 2048, 512, 16),
}
TUNED = {
    "gail": Settings(
        {**LONG, "n_steps": 512, "learning_rate": 4.3984856156897565e-5, "ent_coef": 0.001255299425412744},
        128,
        4096,
        8,
        True,
    ),
    "airl": Settings(
        {**LONG, "n_steps": 1024, "learning_rate": 0.0005807211840258373, "ent_coef": 0.009709494745755033},
        2048,
        8192,
        16,
        True,
    ),
}


def named(*names):
    """Return what makes the first environment that this version of Gymnasium has."""
    known = [name for name in names if name in gymnasium.registry]
    return lambda: gymnasium.make(known[0])


class FirstNumbers(gymnasium.ObservationWrapper):
    """The first numbers of an observation: version 4 of a task has two constraint forces that version 5 leaves out."""

    def __init__(self, env, count):
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (count,), np.float64)

    def observation(self, observation):
        return observation[: self.observation_space.shape[0]]


def double_pendulum():
    return FirstNumbers(named("InvertedDoublePendulum-v5", "InvertedDoublePendulum-v4")(), 9)


TASKS = {
    "cartpole": cartpole,
    "pendulum": named("Pendulum-v1"),
    "lander": named("LunarLanderContinuous-v3", "LunarLanderContinuous-v2"),
    "double_pendulum": double_pendulum,
    "hopper": named("Hopper-v5", "Hopper-v4"),
}


def demonstrations(folder, task, seed):
    """Return the kept episodes of a seed; one shorter than the task's limit was ended by the task, unless cut."""
    from imitation.data.types import Trajectory

    files = sorted(folder.glob(f"{task}_{seed}_*.npz"))
    if not files:
        raise SystemExit(f"{folder}: no demonstration {task}_{seed}_*.npz; adversarial.py --save keeps them")
    limit, found = TASKS[task]().spec.max_episode_steps, []
    for file in files:
        with np.load(file) as kept:
            observations, actions, cut = kept["observations"], kept["actions"], bool(kept.get("cut", False))
        found.append(Trajectory(observations, actions, None, terminal=len(actions) < limit and not cut))
    return found


def mean_return(policy, task, first):
    """Return the mean return of TESTS episodes of the most likely actions."""
    env, totals = TASKS[task](), []
    for number in range(TESTS):
        seen, total, over = env.reset(seed=first + number)[0], 0.0, False
        while not over:
            action, _ = policy.predict(seen, deterministic=True)
            seen, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
        totals.append(total)
    return float(np.mean(totals))


def one_seed(args, algorithm, seed):
    import torch
    from imitation.algorithms.adversarial.airl import AIRL
    from imitation.algorithms.adversarial.gail import GAIL
    from imitation.data.wrappers import RolloutInfoWrapper
    from imitation.policies.base import NormalizeFeaturesExtractor
    from imitation.rewards.reward_nets import BasicRewardNet, BasicShapedRewardNet, NormalizedRewardNet
    from imitation.util import logger
    from imitation.util.networks import RunningNorm
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    is_gail = algorithm == "gail"
    worlds = DummyVecEnv([lambda: RolloutInfoWrapper(TASKS[args.task]())] * ENVIRONMENTS)
    worlds.seed(seed)
    settings = (TUNED if args.tuned else SETTINGS)[algorithm]
    built = {}
    if settings.normalised:
        built = {
            "activation_fn": torch.nn.ReLU,
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
            "net_arch": {"pi": [64, 64], "vf": [64, 64]},
        }
    learner = PPO("MlpPolicy", worlds, seed=seed, device="cpu", policy_kwargs=built, **settings.ppo)
    network = (BasicRewardNet if is_gail else BasicShapedRewardNet)(
        observation_space=worlds.observation_space,
        action_space=worlds.action_space,
        normalize_input_layer=RunningNorm,
    )
    if settings.normalised:
        network = NormalizedRewardNet(network, RunningNorm)
    shown = demonstrations(args.shown, args.task, seed)
    folder = str(args.logs)
    trainer = (GAIL if is_gail else AIRL)(
        demonstrations=shown,
        demo_batch_size=min(settings.shown, sum(len(each) for each in shown)),
        gen_replay_buffer_capacity=settings.memory,
        n_disc_updates_per_round=settings.updates,
        venv=worlds,
        gen_algo=learner,
        reward_net=network,
        log_dir=folder,
        custom_logger=logger.configure(folder, []),
        allow_variable_horizon=True,
    )
    steps, curve, spent_s, wall_s, in_a_row, reached = 0, [], 0.0, 0.0, 0, None
    until_s = time.monotonic() + 60 * args.minutes
    over = False
    while not over:
        began_s, wall_began_s = time.process_time(), time.monotonic()
        trainer.train(trainer.gen_train_timesteps)
        spent_s, wall_s = spent_s + time.process_time() - began_s, wall_s + time.monotonic() - wall_began_s
        steps += trainer.gen_train_timesteps
        over = steps >= args.steps or time.monotonic() >= until_s
        if not over and steps - (curve[-1][0] if curve else 0) < args.every:
            continue
        curve.append((steps, round(mean_return(learner.policy, args.task, 3_000_000), 1)))
        in_a_row = in_a_row + 1 if curve[-1][1] >= args.goal else 0
        reached = curve[-3][0] if in_a_row == 3 else None
        over = over or reached is not None
    return {
        "bench": "adversarial_peer",
        "task": args.task,
        "algorithm": algorithm,
        "tuned": args.tuned,
        "demonstrations": len(shown),
        "seed": seed,
        "reached": reached,
        "steps": steps,
        "best": max(value for _, value in curve),
        "final": curve[-1][1],
        "cpu_s": round(spent_s, 1),
        "wall_s": round(wall_s, 1),
        "load": os.getloadavg()[0],
        "curve": curve,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=tuple(TASKS), default="cartpole")
    parser.add_argument("--shown", type=Path, required=True, help="folder of adversarial.py --save")
    parser.add_argument("--algorithms", default="gail,airl")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300_000, help="of a seed, at most")
    parser.add_argument("--minutes", type=float, default=np.inf, help="of a seed, at most")
    parser.add_argument(
        "--tuned", action="store_true", help="with the settings that it ships for seals/Hopper"
    )
    parser.add_argument("--every", type=int, default=0, help="steps between evaluations, 0: each round")
    parser.add_argument(
        "--goal", type=float, default=475.0, help="mean return; adversarial.py prints its own"
    )
    parser.add_argument("--logs", type=Path, default=Path("/tmp/adversarial_peer"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    for algorithm in args.algorithms.split(","):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            print(json.dumps(one_seed(args, algorithm, seed)), flush=True)


if __name__ == "__main__":
    main()
