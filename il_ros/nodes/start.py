"""Start a node's executable: `python -m il_ros.nodes.start recorder --ros-args ...`, or `ros2 run il_ros recorder`.

Until the node's modules are imported, a signal ends the process at once: nothing has begun that must be stopped
properly, and on a busy machine an import takes longer than launchers wait. From then on it is kept until the node can
stop. What is slow to import is imported in the functions here, because before `run` Ctrl-C is a traceback. Parameter
files and parameters on the command line are checked first, also those of a user's own launch file. `il-ros run`
lets the nodes import while it checks files and graph; then they wait at a gate (`il_ros.core.processes.child`).
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from il_ros.core.processes.executables import NAMES, NODES
from il_ros.core.processes.stopping import hold_signals, signals_end_process
from il_ros.core.tables import say, worded

if TYPE_CHECKING:
    from il_ros.scenarios.parameter_file import ParameterEntry, Started


def run(executable: str, args: Sequence[str] | None = None) -> int:
    """Run the node of `executable` with the command line `args` (default: the process's); return its exit code.

    1 if a parameter file is wrong, or if a parameter is misspelt.
    """
    with signals_end_process():
        from il_ros.core.processes.child import pass_gate
        from il_ros.scenarios.parameter_file import ParameterFileError

        try:
            for warning in check_parameters(executable, sys.argv[1:] if args is None else args):
                say(f"warning: {warning}", file=sys.stderr)
        except ParameterFileError as error:
            say(f"{executable} cannot start: {worded(error)}", file=sys.stderr)
            return 1
        node = importlib.import_module(NODES[executable])
        hold_signals()
    return int(node.main(args)) if pass_gate() else 1


def check_parameters(executable: str, args: Sequence[str]) -> list[str]:
    """Return warnings about the parameters in the ROS arguments `args`; raises ParameterFileError.

    The types of `-p NAME:=VALUE` are checked where the node declares them.
    """
    from il_ros.scenarios import parameter_file

    node, files, given = _read(executable, args)
    parameter_file.check_names(given, [node])
    return [warning for file in files for warning in parameter_file.check(parameter_file.read(file), [node])]


def given_parameter(executable: str, args: Sequence[str], name: str) -> str:
    """Return the parameter `name` in the ROS arguments `args` of a node that does not exist yet; "" if it is absent."""
    from il_ros.scenarios import parameter_file

    node, files, given = _read(executable, args)
    written = [entry for file in files for entry in parameter_file.read(file)]
    found = parameter_file.values_for([*written, *given], node.full_name).get(name)
    return "" if found is None else str(found.value)


def _read(executable: str, args: Sequence[str]) -> tuple[Started, list[str], list[ParameterEntry]]:
    """Return the node that the ROS arguments start, its parameter files, and the parameters given by -p, as texts."""
    from il_ros.scenarios.parameter_file import ParameterEntry, Started

    name, namespace, files, given = NAMES.get(executable, executable), "", [], []
    for option, word in itertools.pairwise(args):
        left, _, right = word.partition(":=")
        if option in ("-r", "--remap") and left.rsplit(":", 1)[-1] in ("__node", "__name"):
            name = right
        elif option in ("-r", "--remap") and left.rsplit(":", 1)[-1] == "__ns":
            namespace = right.strip("/")
        elif option == "--params-file":
            files.append(word)
        elif option in ("-p", "--param") and right:
            text = right.strip("\"'")  # the launchers write texts as JSON
            given.append(ParameterEntry("/**", left.rsplit(":", 1)[-1], text, f"-p {word}"))
    return Started(executable, "/" + "/".join(filter(None, (namespace, name)))), files, given


def __getattr__(name: str) -> Callable[[], int]:
    """Return the entry point of executable `name`, for the scripts that setup.py declares."""
    if name not in NODES:
        raise AttributeError(name)
    return lambda: run(name)


def _main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in NODES:
        say(f"give the executable to start, one of: {', '.join(NODES)}", file=sys.stderr)
        return 2
    executable = sys.argv.pop(1)
    return run(executable)


if __name__ == "__main__":
    sys.exit(_main())
