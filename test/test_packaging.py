"""What a workspace installs: a real `colcon build`, and what is declared three times agrees."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from workspace import ROOT, colcon

from il_ros.core.plugins.shipped import ENTRY_POINTS
from il_ros.core.processes.executables import NODES
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import NodeSpec

colcon_built = pytest.mark.skipif(
    importlib.util.find_spec("colcon_ros") is None, reason="colcon-ros is not installed"
)
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()


def executables_in_the_tree() -> set[str]:
    files = sorted((ROOT / "il_ros" / "nodes").glob("*/*.py"))  # start.py starts them all
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files
        if '\nif __name__ == "__main__":' in path.read_text()
    }


def imported_message_packages() -> set[str]:
    sources = "\n".join(path.read_text() for path in (ROOT / "il_ros" / "nodes").rglob("*.py"))
    names = {
        line.split()[1].split(".")[0]
        for line in sources.splitlines()
        if line.startswith(("from ", "import "))
    }
    return {name for name in names if name.endswith(("_msgs", "_interfaces", "_srvs")) or name == "rclpy"}


def test_every_node_in_the_tree_is_an_executable():
    assert executables_in_the_tree() == set(NODES.values())


def test_every_node_of_every_scenario_is_an_executable():
    specs: list[NodeSpec] = []
    for scenario in SCENARIOS.values():
        names = {argument.name for argument in scenario.arguments}
        for expert in ("scripted", "joy", "leader"):
            given = {"expert": expert, "episodes": "1"}
            specs += scenario.nodes({name: value for name, value in given.items() if name in names})
    assert {spec.executable for spec in specs} <= set(NODES)


def test_the_manifest_names_every_ros_package_that_is_imported():
    named = {element.text for element in MANIFEST.findall("depend")}
    assert imported_message_packages() <= named


def test_the_version_is_the_same_everywhere():
    version = MANIFEST.findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_manifest_is_one_that_colcon_takes_for_ament():
    assert MANIFEST.findtext("export/build_type") == "ament_python"
    assert "." in MANIFEST.find("maintainer").get("email").split("@")[1]  # without: silently no ROS package


@colcon_built
def test_colcon_lists_it_as_ament_python(workspace):
    listed = colcon(workspace.folder, "list").stdout
    assert listed.split() == ["il_ros", "src/il_ros", "(ros.ament_python)"]


@colcon_built
def test_the_installation_holds_executables_and_shared_files(workspace):
    executables = {path.name for path in (workspace.prefix / "lib" / "il_ros").iterdir()}
    assert executables == set(NODES) | {"il-ros"}
    shared = workspace.prefix / "share" / "il_ros"
    for folder in ("config", "launch", "models", "worlds"):
        there = {path.relative_to(ROOT / folder) for path in files(ROOT / folder)}
        assert {path.relative_to(shared / folder) for path in files(shared / folder)} == there


@colcon_built
def test_data_beside_the_code_is_installed_too(workspace):
    (installed,) = workspace.prefix.glob("lib/python3*/site-packages/il_ros")
    data = {path.relative_to(ROOT / "il_ros") for path in files(ROOT / "il_ros") if path.suffix != ".py"}
    assert data <= {path.relative_to(installed) for path in files(installed)}


@colcon_built
def test_an_installed_node_finds_the_shared_files_and_says_what_is_wrong(workspace):
    executable = str(workspace.prefix / "lib" / "il_ros" / "scripted_expert")
    ran = workspace.run(executable, "--ros-args", "-p", "contract:=no_such_contract")
    assert ran.returncode == 1, ran.stdout
    assert "cannot start" in ran.stdout
    assert str(workspace.prefix / "share" / "il_ros") in ran.stdout


@colcon_built
def test_the_installed_command_lists_its_subcommands(workspace):
    ran = workspace.run(str(workspace.prefix / "lib" / "il_ros" / "il-ros"), "run", "record", "--help")
    assert ran.returncode == 0, ran.stdout
    assert "--expert" in ran.stdout


@colcon_built
def test_an_installed_il_ros_finds_what_it_ships_by_its_metadata_as_it_finds_others(workspace):
    ran = workspace.run(str(workspace.prefix / "lib" / "il_ros" / "il-ros"), "plugins", "--names")
    assert ran.returncode == 0, ran.stdout
    listed = {tuple(line.split()[-4:]) for line in ran.stdout.splitlines()[2:]}
    shipped = {(name, "il_ros", target) for of in ENTRY_POINTS.values() for name, target in of.items()}
    assert {
        (name, package, target) for name, package, version, target in listed if version != "(checkout)"
    } >= shipped


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
