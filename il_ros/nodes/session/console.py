"""The session's console: events, the status line below them, a camera image, help."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from rclpy.node import Node

from il_ros.core.tables import say, shown
from il_ros.nodes.runtime import terminal
from il_ros.nodes.session.view import View
from il_ros.session import console
from il_ros.session.notice import Notice
from il_ros.session.state import SessionState


class Console:
    """The session's terminal; without one, events go to the node's log.

    `help_lines`: describe the task and the keys.
    """

    def __init__(self, node: Node, screen: terminal.Terminal | None) -> None:
        self._node, self._screen = node, screen
        self.help_lines: Sequence[str] = ()
        self._view = View(node)

    @property
    def camera(self) -> bool:
        """Whether there is a camera whose image can be shown."""
        return self._view.camera

    def pressed(self) -> list[str]:
        """Return the keys pressed since the last call."""
        return [] if self._screen is None else self._screen.pressed()

    def help(self, *more: str) -> None:
        """Show the help lines and `more` lines."""
        for line in (*self.help_lines, *more) if self._screen is not None else ():
            self._screen.say(shown(line))

    def switch_view(self) -> bool:
        """Switch the camera image on or off; return False without a camera."""
        self._view.shown = self._view.camera and not self._view.shown
        return self._view.camera

    def show(self, state: SessionState) -> None:
        """Draw the camera image and the status line."""
        if self._screen is not None:
            picture = self._view.lines(self._screen.width, self._screen.height)
            self._screen.show("\n".join([*picture, self.line(state)]))

    def line(self, state: SessionState, *, colour: bool = True) -> str:
        """Return the status line."""
        width = self._screen.width - 1 if self._screen is not None else 200
        return console.status_line(state, width, colour=colour)

    def tell(self, notices: Sequence[Notice]) -> None:
        """Show events with the time of day."""
        for notice in notices:
            if self._screen is not None:
                self._screen.say(console.event_line(notice, time.strftime("%H:%M:%S")))
            else:
                self._node.get_logger().info(shown(notice.text))

    def ring(self, times: int) -> None:
        """Ring the terminal's bell."""
        if self._screen is not None and times:
            self._screen.ring(times)

    def leave(self, state: SessionState) -> None:
        """Keep the last status line on the screen."""
        if self._screen is not None:
            self._screen.show("")
            self._screen.say(self.line(state))

    def report(self, root: Path) -> None:
        """Write the report of the saved episodes under `root`, without a running one."""
        lines: list[str] = []
        again = f"; this makes it later: {shlex.join(['il-ros', 'session', 'report', str(root)])}"
        try:
            from il_ros.session import page, report

            found = report.read(root)
            lines = [*report.text(found).splitlines(), ""]
            lines.append(f"page: {page.write(found, page.folder_for(root))}")
        except ValueError as error:
            lines.append(f"no report: {error}")
        except (
            OSError,
            ImportError,
            MemoryError,
        ) as error:  # a library that gets no memory is an ImportError
            what = "page" if lines else "report"
            lines.append(
                f"no {what}: {error}{again}" if str(error) else f"no {what}: the memory ran out{again}"
            )
        for line in lines:
            say(line) if self._screen is None else self._screen.say(shown(line))
