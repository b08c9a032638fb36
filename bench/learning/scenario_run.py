"""Unattended episodes through a scenario's processes, in lockstep, faster than real time."""

from tqdm import tqdm

from il_ros.core.processes.group import ProcessGroup
from il_ros.records import trials
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import command

LONGEST_S = 3600.0


def conduct(scenario, title, log, **given):
    """Run a scenario with the arguments `given`; return the results of its episodes, see `Trials`."""
    result = log.parent / f"{log.name}_result.json"
    result.unlink(missing_ok=True)  # of an earlier run, whose episodes would be counted
    given |= {"speed": "0", "cameras": "false", "result": str(result)}
    commands = {spec.name: command(spec) for spec in SCENARIOS[scenario].nodes(given)}
    with tqdm(total=int(given["episodes"]), desc=f"{given['task']} {title}", unit="episode") as bar:

        def show(name, _line):
            if name == "conductor" and (done := trials.so_far(result)) is not None:
                bar.set_postfix_str(f"{done.successes} succeeded", refresh=False)
                bar.update(len(done.done) - bar.n)

        with ProcessGroup(commands, log, show) as group:
            ending = group.wait(LONGEST_S)
            if (ending.name, ending.status) != ("conductor", 0):
                raise group.failure(ending)
    return trials.from_json(result.read_text())


def node_parameters(seed, *, queried, warm_epochs, changes):
    """Return the parameters that differ from config/nodes; wall time has no effect on the result."""
    nodes = {
        "sim": {"lockstep_timeout_s": 30.0},
        "dagger_supervisor": {"silence_s": 20.0, "dagger.segment": 10, "dagger.queried": queried},
        "recorder": {"min_free_bytes": 268435456},
        "policy_server": {"promotion.latency": 100.0},
        "conductor": {"timeout_s": 120.0, "training_s": 1200.0},
        "trainer": {
            "background": False,  # the episodes wait for it
            "warm_epochs": warm_epochs,
            "warm_s": 0.0,
            "changes": [f"seed={seed}", *changes],
        },
    }
    return {"/**": {name: {"ros__parameters": given} for name, given in nodes.items()}}
