"""The safety limiter: the command nearest to the target within position, speed and acceleration limits."""
