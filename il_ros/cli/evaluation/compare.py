"""`il-ros compare`: which policy is better, from trials in pairs, on a robot or in simulation."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from il_ros.cli.evaluation.several import plain_comparisons, sentences
from il_ros.core import files
from il_ros.core.strict_yaml import brief
from il_ros.core.tables import counted, say, worded
from il_ros.records import trials
from il_ros.records.comparison import PairedComparison
from il_ros.records.outcomes import FAILURE, SUCCESS

_MOST = 64 << 20
_WORDS = {SUCCESS: 1.0, FAILURE: 0.0}
_EXAMPLES = """\
examples:
  il-ros compare v1.json v2.json      results of `il-ros evaluate --json` or of unattended episodes, paired by seed
  il-ros compare all.json             of `il-ros evaluate V1 V2 V3 --json all.json`
  il-ros compare trials.csv           a table that you write: a column for each policy, a row for each start, such as
                                        v1,v2
                                        success,success
                                        failure,success

On a robot: put the scene in a start, let both policies try it, in random order, and add a row. Look after each row;
the sentence stays true whenever you stop.
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="say which of several policies is better, from paired trials",
        description="Say which policy is better, from trials of both from the same starts. The first is compared with "
        "each other one, by a test that allows looking after each pair.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="two result files or more, one of several policies, or one table",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare; return 0 when done, whatever the result, and 2 on unusable files."""
    try:
        compared = compared_in(args.results)
    except (ValueError, OSError) as error:
        say(f"il-ros compare: {worded(error)}", file=sys.stderr)
        return 2
    say(
        json.dumps({"comparisons": plain_comparisons(compared)})
        if args.json
        else "\n".join(sentences(compared))
    )
    return 0


def compared_in(results: Sequence[Path]) -> list[PairedComparison]:
    """Return the comparison of the first policy with each other one; raises ValueError naming file, row and value."""
    if len(results) == 1 and results[0].suffix != ".json":
        names, rows = _table(results[0])
    else:
        if twice := [
            path for path, times in Counter(path.resolve() for path in results).items() if times > 1
        ]:
            raise ValueError(f"{twice[0]}: is given twice; a result says nothing beside itself")
        found = [each for path in results for each in _results(path)]
        if len(found) < 2:
            raise ValueError(
                f"{results[0]}: one result has nothing to be compared with; name two result files, or one of several "
                "policies"
            )
        names, rows = _paired(found)
    return [
        PairedComparison.of(names[0], name, ((row[0], row[place]) for row in rows))
        for place, name in enumerate(names[1:], 1)
    ]


def _table(path: Path) -> tuple[list[str], list[list[float]]]:
    """Return the names and scores in a CSV table."""
    try:
        lines = list(csv.reader(io.StringIO(_text(path))))
    except csv.Error as error:
        what = str(error).partition(" - ")[0]  # then comes advice to a programmer
        raise ValueError(f"{path}: no table of comma-separated values: {what}") from error
    names = [name.strip() for name in lines[0]] if lines else []
    if len(names) < 2 or len(set(names)) < len(names) or "" in names:
        held = f"it has {brief(names)}" if names else "it is empty"
        raise ValueError(f"{path}: its first row must name two policies or more, such as v1,v2; {held}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(names):
            raise ValueError(
                f"{path}:{number}: has {counted(len(line), 'value')}; the first row has {len(names)}"
            )
        rows.append([_score(cell.strip(), f"{path}:{number}") for cell in line])
    if not rows:
        raise ValueError(f"{path}: has no trials below the names")
    return names, rows


def _text(path: Path) -> str:
    if path.is_dir():
        raise ValueError(
            f"{path}: is a folder, not a file of results; `il-ros evaluate V1 V2` compares checkpoints in simulation"
        )
    try:
        return files.read_text(path, _MOST)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def _score(cell: str, where: str) -> float:
    if cell in _WORDS:
        return _WORDS[cell]
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(
            f"{where}: {brief(cell)} must be {SUCCESS}, {FAILURE}, or a number of which more is better"
        )
    return score


def _results(path: Path) -> list[tuple[Path, str, Mapping[int, float]]]:
    """Return names and scores by seed of the policies in a file: of an evaluation, or of unattended episodes."""
    text = _text(path)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: is no result file, which is JSON ({error}); a table of trials is given alone"
        ) from error
    if isinstance(values, dict) and "trials" in values:
        try:
            done = trials.from_json(text).done
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return [(path, path.stem, {trial.seed: _WORDS[trial.outcome] for trial in done})]
    if isinstance(values, dict) and isinstance(values.get("policies"), list):
        return [(path, *_scores(each, path, "name")) for each in values["policies"]]
    return [(path, *_scores(values, path, "version"))]


def _scores(values: Any, path: Path, named: str) -> tuple[str, Mapping[int, float]]:
    """Return the name, under the key `named`, and the score by seed of one policy in a file."""
    try:
        scored = [
            (int(each["seed"]), float(each["success"] if each["judged"] else each["total_reward"]))
            for each in values["episodes"]
        ]
        name = str(values[named] or path.stem)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: neither a result of `il-ros evaluate --json` nor of unattended episodes"
        ) from error
    scores: dict[int, float] = {}
    for seed, score in scored:
        if not math.isfinite(score):
            raise ValueError(f"{path}: the score of seed {seed} is {score}; it must be a finite number")
        if seed in scores:
            raise ValueError(f"{path}: seed {seed} occurs twice; a policy has one score for each start")
        scores[seed] = score
    return name, scores


def _paired(results: Sequence[tuple[Path, str, Mapping[int, float]]]) -> tuple[list[str], list[list[float]]]:
    """Return names and scores of the seeds that all results have; raises ValueError where there is none."""
    names = [name for _, name, _ in results]
    if len(set(names)) < len(names):
        held = Counter(path for path, _, _ in results)
        names = [str(path) if held[path] == 1 else f"{path}: {name}" for path, name, _ in results]
    common = [seed for seed in results[0][2] if all(seed in scores for _, _, scores in results)]
    if not common:
        listed = ", ".join(str(path) for path, _, _ in results)
        raise ValueError(
            f"{listed}: no seed is in all of them; only trials from the same starts can be compared"
        )
    return names, [[scores[seed] for _, _, scores in results] for seed in common]
