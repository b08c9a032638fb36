"""What exchange refuses, and the optional packages that it needs."""

from __future__ import annotations

import importlib
from typing import Any

EXTRA = "exchange"
"""The extra of setup.py with the packages of this folder."""


class ExchangeError(ValueError):
    """Data that can't be exchanged; the message names file, key and value, and says what would be right."""


def package(name: str) -> Any:
    """Return an optional package; raises ExchangeError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        root = name.partition(".")[0]
        raise ExchangeError(
            f"the Python package '{root}' is missing ({error}); install it with: "
            f"pip install {root}, or pip install 'il_ros[{EXTRA}]'"
        ) from error
