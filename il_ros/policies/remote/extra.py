"""The packages `websockets` and `msgpack`, which only remote policies need."""

from __future__ import annotations

import importlib.util
import logging

SILENT = logging.getLogger("il_ros.remote.websockets")
"""The logger for websockets, which writes headers, and so tokens, at the level DEBUG."""
SILENT.setLevel(logging.CRITICAL)


class MissingError(ImportError):
    """A package of remote policies is not installed; the message says how to install it."""


def require() -> None:
    """Raise MissingError unless the packages are installed, in versions that fit."""
    missing = [name for name in ("msgpack", "websockets") if importlib.util.find_spec(name) is None]
    if not missing:
        try:
            missing = [] if importlib.util.find_spec("websockets.asyncio") else ["websockets>=14"]
        except ImportError:
            missing = ["websockets>=14"]
    if missing:
        raise MissingError(
            f"remote policies need {' and '.join(missing)}: pip install 'msgpack' 'websockets>=14'"
        )
