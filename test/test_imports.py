"""The house's rules about what may import what, held by reading every file's syntax tree.

ROS stays in `il_ros/nodes/` and `launch/`; a floor uses what is below it; nothing that is loaded runs code.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "il_ros"
SOURCES = sorted(PACKAGE.rglob("*.py"))

ROS = {
    *("action_msgs", "control_msgs", "tf2_msgs"),
    *("rclpy", "launch", "launch_ros", "ament_index_python", "builtin_interfaces", "rosidl_runtime_py"),
    *("diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "nav_msgs", "rcl_interfaces", "rosgraph_msgs"),
    *("sensor_msgs", "std_msgs", "std_srvs", "trajectory_msgs", "visualization_msgs"),
}

# A package imports its own floor and those below it. A package that is not listed here fails the test.
FLOORS = (
    {"core"},
    {"records"},
    {"control", "policies", "sim", "teleop"},
    {"episodes", "rewards"},
    {"envs"},
    {"training"},
    {"interactive", "irl", "rl"},
    {"session"},
    {"scenarios"},
    {"nodes", "demo"},
    {"cli"},
    {"__main__"},
)
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}

CODE_LOADERS = {
    *("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("torch.load", "torch.save", "torch.jit.load", "numpy.load(allow_pickle)", "eval", "exec", "yaml.load"),
    *("yaml.unsafe_load", "yaml.full_load"),
}


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def loaders(tree: ast.AST) -> list[tuple[int, str]]:
    found = [(line, name.split(".")[0]) for line, name in imported(tree)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func).replace("np.", "numpy.")
            if any(
                keyword.arg == "allow_pickle" and not is_false(keyword.value) for keyword in node.keywords
            ):
                name = "numpy.load(allow_pickle)"
            found.append((node.lineno, name))
    return [(line, name) for line, name in found if name in CODE_LOADERS]


def climbs(package: str, tree: ast.AST) -> list[tuple[int, str]]:
    """Return the imports in a file of `package` that lead to another package of its own or a higher floor."""
    found = []
    for line, name in imported(tree):
        root, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if root == "il_ros" and other != package and FLOOR[other] >= FLOOR[package]:
            found.append((line, name))
    return found


def ros_imports(tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, name) for line, name in imported(tree) if name.split(".")[0] in ROS]


def parsed(path: Path) -> tuple[tuple[str, ...], ast.AST]:
    return path.relative_to(PACKAGE).with_suffix("").parts, ast.parse(path.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_the_house_rules(path):
    parts, tree = parsed(path)
    assert loaders(tree) == [], "nothing that this package loads may run code"
    assert climbs(parts[0], tree) == [], "a floor may use what is below it, never what is above"
    if parts[0] != "nodes":
        assert ros_imports(tree) == [], "only il_ros/nodes and launch import ROS"


@pytest.mark.parametrize("path", sorted((ROOT / "launch").glob("*.py")), ids=lambda path: path.name)
def test_a_launch_file_composes_and_does_nothing_else(path):
    tree = ast.parse(path.read_text())
    kinds = {type(node) for node in ast.walk(tree)}
    assert not kinds & {ast.If, ast.For, ast.While, ast.Try, ast.ClassDef, ast.Lambda}
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert function.name == "generate_launch_description"


def test_no_folder_holds_more_modules_than_a_reader_takes_in():
    folders = {path.parent for path in SOURCES}
    counts = {folder: sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    assert {str(folder.relative_to(ROOT)): count for folder, count in counts.items() if count > 16} == {}


def test_no_class_name_stands_in_two_modules():
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (ros_imports, "import rclpy"),
        (ros_imports, "def f():\n    from sensor_msgs.msg import Image"),
        (loaders, "import pickle"),
        (loaders, "from torch import nn\nimport torch\ntorch.load('x')"),
        (loaders, "import numpy as np\nnp.load('x', allow_pickle=True)"),
        (loaders, "eval('1')"),
        (lambda tree: climbs("episodes", tree), "from il_ros.training import loop"),
        (lambda tree: climbs("core", tree), "from il_ros import episodes"),
        (lambda tree: climbs("training", tree), "from il_ros.interactive import gates"),
    ],
)
def test_each_rule_catches_a_planted_breach(rule, code):
    assert rule(ast.parse(code)) != []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (ros_imports, "import il_ros.core.messages"),
        (loaders, "import yaml\nyaml.safe_load('x')\nnp.load('x', allow_pickle=False)\nre.compile('x')"),
        (lambda tree: climbs("nodes", tree), "from il_ros.episodes import writer"),
        (lambda tree: climbs("training", tree), "from il_ros.training import loss"),
    ],
)
def test_no_rule_forbids_what_is_right(rule, code):
    assert rule(ast.parse(code)) == []
