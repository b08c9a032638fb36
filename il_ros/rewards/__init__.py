"""Reward models. il_ros has none yet; `registry` finds those that other packages register."""
