"""`python -m il_ros` is `il-ros`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run `il-ros` and return its exit status; Ctrl-C ends it in one word, also while its modules are imported."""
    try:
        from il_ros.cli.main import main as command

        return command()
    except BaseException as error:
        if not _is_interruption(error):
            raise
        sys.stderr.write("interrupted\n")
        return 130


def _is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused the error: a library that it meets in the middle of an import may raise another."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    sys.exit(main())
