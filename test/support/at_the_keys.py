"""A person at a session's terminal, on the test's graph."""

import contextlib

from il_ros.nodes.session.node import Session


class Screen:
    """A terminal whose keys the test types."""

    width, height = 120, 40
    on_suspend = None

    def __init__(self):
        self.typed, self.lines, self.shown = [], [], ""
        self.bells = 0

    def pressed(self):
        keys, self.typed = self.typed, []
        return keys

    def show(self, line):
        self.shown = line

    def aside(self):
        return contextlib.nullcontext()

    def ring(self, times):
        self.bells += times

    def say(self, line):
        self.lines.append(line)


class AtTheKeys:
    """A person at the session's terminal who waits for the effect of each key."""

    def __init__(self, graph, **parameters):
        self.graph, self.screen = graph, Screen()
        given = {"seed": 3, "joy_buttons": ["take 5"]} | parameters
        self.node = graph.start(lambda **kwargs: Session(self.screen, **kwargs), use_sim_time=True, **given)
        graph.until(lambda: self.state.ready and self.state.now_ns, "recorder and supervisor")

    @property
    def state(self):
        return self.node.state

    def type(self, key, until, what):
        """Press a key after the previous command has ended (else it may be ignored), and wait."""
        self.graph.until(lambda: not self.node.busy, f"rest before {what}")
        self.screen.typed.append(key)
        self.graph.until(lambda: until(self.state), f"{what}; shown: {self.screen.lines}")

    def drives(self, source, ticks=5):
        seen = []

        def long_enough():
            seen[:] = [*seen, self.state.now_ns] if self.state.driver == source else []
            return len(set(seen)) >= ticks

        self.graph.until(long_enough, f"{source} drives; shown: {self.screen.lines}")
