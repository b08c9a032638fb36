"""Behavioural cloning by the packages `imitation` and robomimic, as learners of `every_family.py`.

They need an environment with both beside this package's own requirements:

    python3.11 -m venv peer
    peer/bin/pip install torch==2.13.0 torchvision imitation==1.0.1 mujoco rosbags mcap pyyaml safetensors tqdm
    peer/bin/pip install --no-deps robomimic==0.3.0 && peer/bin/pip install h5py psutil termcolor tensorboardX six
    PYTHONPATH=. peer/bin/python bench/learning/every_family.py --learners imitation robomimic_mlp robomimic_rnn_gmm

Each gets the same demonstrations as ours, with standardised observations and actions scaled to -1..1.
`imitation`: its BC on a policy of 256x256 (its default of 32x32 is for small tasks), batches of 32, rate 1e-3.
`robomimic_mlp` and `robomimic_rnn_gmm`: its BC and BC-RNN-GMM with the networks of its own configurations for states
(1024x1024; LSTM of 2 x 400 over 10 frames, 5 components), batches of 100, rate 1e-3. The optimiser steps are
the budget: robomimic's own 200,000 take hours on a core.
"""

import copy
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

STEPS = {"imitation": 20_000, "robomimic_mlp": 4000, "robomimic_rnn_gmm": 2000}
"""Optimiser steps of a training: 2 to 10 minutes of a core for robomimic's."""
HORIZON, BATCH = 10, 100


class Peer:
    """A policy of a peer: standardises what it sees, and scales its answer back to commands.

    `train` is given the pairs of standardised states (T, S) and scaled actions (T, A) of each episode; it returns what
    begins an episode, and what maps a state (S,) to an action (A,).
    """

    def __init__(self, shown, train):
        states = np.concatenate([stated(episode.observations) for episode in shown])
        commands = np.concatenate([episode.commands for episode in shown])
        self._mean, self._scale = states.mean(0), np.maximum(states.std(0), 1e-3)
        low, high = commands.min(0), commands.max(0)
        self._middle, self._half = (low + high) / 2, np.maximum((high - low) / 2, 1e-4)
        pairs = [
            (self._standard(stated(each.observations)), (each.commands - self._middle) / self._half)
            for each in shown
        ]
        self._reset, self._answer = train([(s.astype(np.float32), a.astype(np.float32)) for s, a in pairs])

    def in_episode(self):
        """Return `act` for the ticks of one episode: the observation's values to commands (1, A)."""
        self._reset()
        return self.act

    def act(self, observation):
        state = self._standard(stated({key: values[None] for key, values in observation.items()}))
        return self._answer(state[0].astype(np.float32))[None] * self._half + self._middle

    def _standard(self, states):
        return (states - self._mean) / self._scale


def stated(observations):
    """Return the state (T, S) of observations (T, ...), whose keys are in the contract's order."""
    return np.concatenate(
        [np.asarray(values, float).reshape(len(values), -1) for values in observations.values()], 1
    )


def trained(learner, shown, seed):
    """Return the policy that `learner`, a key of STEPS, trains on episodes."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    method = with_imitation if learner == "imitation" else with_robomimic
    return Peer(shown, lambda pairs: method(learner, pairs, seed))


def with_imitation(learner, pairs, seed):
    import tempfile

    from gymnasium.spaces import Box
    from imitation.algorithms import bc
    from imitation.data.types import Transitions
    from imitation.util import logger
    from stable_baselines3.common.policies import ActorCriticPolicy

    states, actions = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    spaces = (Box(-np.inf, np.inf, states.shape[1:], np.float32), Box(-1, 1, actions.shape[1:], np.float32))
    count = len(states)
    learner_ = bc.BC(
        observation_space=spaces[0],
        action_space=spaces[1],
        policy=ActorCriticPolicy(*spaces, lambda _: 1e-3, net_arch=[256, 256]),
        demonstrations=Transitions(
            states, actions, np.array([{}] * count), np.roll(states, -1, 0), np.zeros(count, bool)
        ),
        rng=np.random.default_rng(seed),
        batch_size=32,
        optimizer_kwargs={"lr": 1e-3},
        custom_logger=logger.configure(tempfile.mkdtemp(), []),
    )
    learner_.train(n_batches=STEPS[learner], progress_bar=False)
    return lambda: None, lambda state: learner_.policy.predict(state, deterministic=True)[0]


def with_robomimic(learner, pairs, seed):
    import torch
    from robomimic.algo import algo_factory
    from robomimic.config import config_factory
    from robomimic.utils import obs_utils

    recurrent = learner == "robomimic_rnn_gmm"
    config = config_factory("bc")
    with config.values_unlocked():
        config.observation.modalities.obs.low_dim = ["state"]
        config.train.batch_size = BATCH
        if recurrent:  # as robomimic's configurations of BC-RNN for low-dimensional states
            config.algo.rnn.enabled = config.algo.gmm.enabled = True
            config.algo.rnn.hidden_dim, config.algo.rnn.horizon, config.train.seq_length = (
                400,
                HORIZON,
                HORIZON,
            )
            config.algo.actor_layer_dims = ()
            config.algo.optim_params.policy.learning_rate.initial = 1e-3
        else:
            config.algo.actor_layer_dims = (1024, 1024)
            config.algo.optim_params.policy.learning_rate.initial = 1e-3
    obs_utils.initialize_obs_utils_with_config(config)
    states, actions = pairs[0]
    model = algo_factory("bc", config, {"state": [states.shape[1]]}, actions.shape[1], torch.device("cpu"))
    draws = np.random.default_rng(seed)
    # as robomimic's loader: a window begins at any frame, and repeats the last one beyond the end
    windows = [
        (episode, np.minimum(np.arange(first, first + HORIZON), len(pairs[episode][0]) - 1))
        for episode in range(len(pairs))
        for first in range(len(pairs[episode][0]))
    ]
    model.set_train()
    for step in range(STEPS[learner]):
        chosen = [windows[index] for index in draws.integers(len(windows), size=BATCH)]
        parts = [
            torch.from_numpy(np.stack([pairs[episode][part][frames] for episode, frames in chosen]))
            for part in (0, 1)
        ]
        batch = {"obs": {"state": parts[0]}, "goal_obs": None, "actions": parts[1]}
        model.train_on_batch(model.process_batch_for_training(batch), epoch=step // 100, validate=False)
    model.set_eval()

    def answer(state):
        seen = {"state": torch.from_numpy(copy.copy(state))[None]}
        with torch.no_grad():
            return model.get_action(seen)[0].numpy()

    return model.reset, answer
