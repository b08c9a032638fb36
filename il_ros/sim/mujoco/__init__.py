"""The embedded MuJoCo simulator."""
