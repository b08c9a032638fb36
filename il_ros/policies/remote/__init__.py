"""Policies of other processes and machines, over a websocket: asking one (`policy`), and offering ours (`server`)."""
