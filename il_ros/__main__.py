"""`python -m il_ros` is `il-ros`."""

import sys


def main() -> int:
    """Run `il-ros` and return its exit status; Ctrl-C ends it in one word, also while the command is imported."""
    try:
        from il_ros.cli.main import main as command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
