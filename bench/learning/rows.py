"""The rows of a bench in files of JSON lines, by which a stopped call goes on where it was.

A row is known by its key: what a call measures several of, such as seed and learner, and under `settings` all other
arguments that change what is measured. Tables never mix rows of different settings.
"""

import json
import sys

UNKNOWN = {"settings": "unknown"}


def settings_of(args, others):
    """Return the arguments of a call, as JSON, but for `others`: they are in each row, or change no row.

    A new argument is thereby a setting, until it is named among the others.
    """
    settings = {name: value for name, value in vars(args).items() if name not in others}
    return json.loads(json.dumps(settings, default=str))


class Rows:
    """The rows of `bench` in a file, which may be None, and those that are added to both.

    Raises SystemExit where the file has a row of another bench, or one without settings: it could be of any.
    """

    def __init__(self, bench, file):
        self._bench, self._file = bench, file
        self.rows = read_lines([file]) if file and file.exists() else []
        for number, row in enumerate(self.rows, 1):
            wrong = f"of the bench {row.get('bench')}" if row.get("bench") != bench else ""
            if not wrong and "settings" not in row:
                wrong = "without settings, of an earlier version of this bench"
            if wrong:
                raise SystemExit(f"{file}: line {number} is a row {wrong}; give another file with --out")

    def missing(self, keys):
        """Return those of `keys` of which there is no row."""
        return [key for key in keys if not any(_has(row, key) for row in self.rows)]

    def add(self, key, found, to=None, **brief):
        """Add a row, and print it with the values in `brief` instead of its own; None: without that value."""
        row = {"bench": self._bench, **key, **found}
        self.rows.append(row)
        if self._file:
            with self._file.open("a") as opened:
                opened.write(json.dumps(row) + "\n")
        shown = {name: value for name, value in {**row, **brief}.items() if value is not None}
        print(json.dumps(shown), file=to or sys.stderr, flush=True)


def read_lines(files):
    """Return the rows of files of JSON lines; raises SystemExit on a line that is none."""
    rows = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise SystemExit(f"{file}: line {number} is not JSON: {error}") from error
    return rows


def by_settings(rows):
    """Yield (how the settings differ from the others', rows) for each kind of settings; "" where there is one.

    Rows of earlier versions of a bench, which have no settings, are said to have unknown ones.
    """
    groups = {}
    for row in rows:
        groups.setdefault(json.dumps(row.get("settings", UNKNOWN), sort_keys=True), []).append(row)
    all_settings = [json.loads(text) for text in groups]
    names = dict.fromkeys(name for settings in all_settings for name in settings)
    known = [settings for settings in all_settings if settings != UNKNOWN]
    apart = [name for name in names if len({json.dumps(each.get(name)) for each in known}) > 1]
    for settings, some in zip(all_settings, groups.values(), strict=True):
        told = list(UNKNOWN) if settings == UNKNOWN else apart
        yield ", ".join(f"{name} {settings.get(name)}" for name in told), some


def show_each(rows, show):
    """Print a table with `show` for each kind of settings, below a line that says how it differs."""
    for differs, some in by_settings(rows):
        if differs:
            print(f"\n{differs}:\n")
        show(some)


def _has(row, key):
    return all(row.get(name) == value for name, value in key.items())
