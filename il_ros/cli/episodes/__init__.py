"""The command `il-ros episodes`."""
