"""The rows of a bench in files of JSON lines, by which a stopped call goes on where it was."""

import json
import sys


def read_lines(files):
    """Return the rows of files of JSON lines."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def rows_before(file):
    """Return the rows of an earlier call with this `--out`; [] where there is none."""
    return read_lines([file]) if file and file.exists() else []


def add_line(file, row):
    """Add a row to a file of JSON lines; None: to none."""
    if file:
        with file.open("a") as opened:
            opened.write(json.dumps(row) + "\n")


def keeping(rows, file):
    """Return what adds a row of trials to `rows` and to the file, and prints it with the number of successes."""

    def keep(row):
        rows.append(row)
        print(json.dumps({**row, "successes": sum(row["successes"])}), file=sys.stderr, flush=True)
        add_line(file, row)

    return keep
