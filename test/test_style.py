"""The size of files, and the number of nouns. `make lint` checks style and types; `make test` does not depend on it."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "path", sorted((ROOT / "il_ros").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_has_at_most_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def is_counted(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "counted"


def counted_nouns(trees: list[ast.Module]) -> set[str]:
    """Return the plurals of the nouns that are counted anywhere."""
    calls = [node for tree in trees for node in ast.walk(tree) if is_counted(node)]
    return {f"{call.args[1].value}s" for call in calls if isinstance(call.args[1], ast.Constant)}


def disagreements(tree: ast.Module, nouns: set[str]) -> list[str]:
    """Return the f-strings in which a value that can be 1 is followed by a plural; constants are never 1."""
    plural = re.compile(rf" (?:{'|'.join(sorted(nouns))})\b")
    found = []
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, after in pairwise(parts):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            fixed = isinstance(value.value, ast.Name) and value.value.id.isupper()
            if plural.match(after.value) and not (is_counted(value.value) or fixed or value.format_spec):
                found.append(f"line {node.lineno}: {ast.unparse(value.value)}{after.value}")
    return found


def test_a_count_is_written_so_that_its_noun_agrees_in_number():
    """`counted` (`il_ros/core/tables.py`) writes "1 frame", "2 frames"."""
    trees = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "il_ros").rglob("*.py"))}
    nouns = counted_nouns(list(trees.values()))
    assert {"frames", "ticks", "episodes", "messages", "labels"} <= nouns
    found = {path.name: wrong for path, tree in trees.items() if (wrong := disagreements(tree, nouns))}
    assert found == {}


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ('f"{count} frames of {total}"', ["line 1: count frames of "]),
        ("f\"{counted(count, 'frame')} of {total} frames\"", ["line 1: total frames"]),
        ("f\"{counted(count, 'frame')} of {MOST} frames at {rate:g} frames a second\"", []),
    ],
)
def test_a_planted_disagreement_is_found(planted, found):
    assert disagreements(ast.parse(planted), {"frames"}) == found


PERCENT = re.compile(r"\{[^{}]*%\}|\{[^{}]*\} ?%")


def shares(tree: ast.Module) -> list[str]:
    """Return the f-strings that write a share in per cent by themselves."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and PERCENT.search(ast.unparse(node))
    ]


def test_per_cent_is_written_in_one_way():
    """`percent` (`il_ros/core/tables.py`) writes "62 %"."""
    trees = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "il_ros").rglob("*.py"))}
    found = {path.name: wrong for path, tree in trees.items() if (wrong := shares(tree))}
    found.pop("tables.py", None)  # where `percent` is
    assert found == {}


@pytest.mark.parametrize("planted", ['f"{share:.0%} of it"', 'f"{100 * share:.0f} %"', 'f"{count}%"'])
def test_a_planted_share_is_found(planted):
    assert shares(ast.parse(planted))
