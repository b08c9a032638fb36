"""Reward models: what rates the steps of an episode, learnt from demonstrations or from verdicts."""
