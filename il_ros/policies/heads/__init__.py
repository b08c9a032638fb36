"""The last part of a network: from features to a distribution over chunks of actions."""
