"""The arguments that the scenarios share. See `il_ros.scenarios`."""

from __future__ import annotations

from il_ros.core.plugins import DEVICES, TASKS
from il_ros.records.labelling import MODES
from il_ros.scenarios.graph import SWITCH, Argument

KEYS = ("keyboard",)
"""Devices that need a terminal, or a console that forwards its keys."""

SIMULATED = Argument("task", "simulated task", "push", group=TASKS)
TASK = Argument(
    "task",
    "task name, recorded in every episode; simulated tasks, of which most have a scripted expert: `il-ros plugins`; "
    "with sim:=false any name is accepted",
    "push",
)
CONTRACT = Argument(
    "contract", "contract file, or the name of one in config/contracts; empty: the task's own", ""
)
SIM = Argument("sim", "true: start the simulator; false: a robot provides the topics", "true", SWITCH)
SIM_TIME = Argument(
    "use_sim_time",
    "with sim:=false: true when your own simulator provides the topics and /clock",
    "false",
    SWITCH,
)
SIMULATOR = Argument(
    "simulator",
    "simulator: the embedded MuJoCo, Gazebo Classic (`make gazebo`), or gz-sim (ros_gz)",
    "mujoco",
    ("mujoco", "gazebo_classic", "gz"),
)
SPEED = Argument("speed", "simulated seconds per second; 0: as fast as possible, in lockstep", "1.0")
SEED = Argument("seed", "seed of the first simulated episode; it increases by 1 per episode", "0")
CAMERAS = Argument("cameras", "true: the simulator renders and publishes its cameras", "true", SWITCH)
NAMESPACE = Argument("namespace", "namespace of every node; empty: none", "")
PARAMS_FILE = Argument(
    "params_file",
    "parameter file (YAML) that overrides config/nodes; given arguments override it; empty: none",
    "",
    formerly="parameters",
)
AUTOSTART = Argument(
    "autostart",
    "true: nodes configure and activate at start; false: a lifecycle manager does",
    "true",
    SWITCH,
)
RESPAWN = Argument(
    "use_respawn",
    "true: policy, expert, recorder and trainer start again after a failure; the supervisor never does",
    "false",
    SWITCH,
)
LOG_LEVEL = Argument(
    "log_level", "least severity that nodes log", "info", ("debug", "info", "warn", "error", "fatal")
)
ROOT = Argument("root", "folder in which to save the episodes", "episodes")
SHOWN = Argument("root", "folder of the episodes to train on", "episodes")
OPERATOR = Argument("operator", "name of the demonstrator; recorded in every episode", "")
EXPERT = Argument(
    "expert",
    "expert that proposes; for the keyboard choose none and run teleop_keyboard in another terminal",
    "scripted",
    ("scripted", "none"),
    group=DEVICES,
    unfit=KEYS,
)
TAKEOVER = Argument(
    "expert",
    "expert that may take over from the policy",
    "none",
    ("scripted", "none"),
    group=DEVICES,
    unfit=KEYS,
)
CHECKPOINT = Argument(
    "checkpoint",
    "folder of the trained policy, or of the versions v1, v2, ...: then the newest good one",
    "checkpoint",
)
START = Argument(
    "start",
    "rest: the policy drives only after a key, a button or /dagger_supervisor/drive; driving: at once, without a "
    "person. Episodes that run unattended always drive at once",
    "rest",
    ("rest", "driving"),
)
_RECORDER = "true: start a recorder; /recorder/start begins an episode"
KEEP = Argument("record", _RECORDER, "false", SWITCH)
RECORD = Argument("record", _RECORDER, "true", SWITCH)
EPISODES = Argument(
    "episodes", "number of unattended simulated episodes; 0: you start and stop episodes yourself", "0"
)
TIME_LIMIT = Argument(
    "time_limit_s",
    "simulated seconds after which an episode counts as failed, unattended or in a simulated session; "
    "0 in a session: no limit",
    "20.0",
)
PER_ROUND = Argument(
    "per_round",
    "unattended episodes per round; after a round all nodes wait for the next policy; 0: train in parallel",
    "0",
)
RESULT = Argument("result", "JSON file for the results of unattended episodes; empty: none", "")
POLICIES = Argument(
    "policies", "folder in which to save the trained policies", "checkpoint", formerly="checkpoint"
)
RECORDED = Argument("contract", "contract to train under; empty: the recorded one", "")
RECIPE = Argument(
    "recipe", "recipe file, or the name of one in config/training; empty: chosen from the observations", ""
)

CORRECTOR = Argument(
    "expert",
    "expert that corrects the policy; keyboard: the session's keys",
    "scripted",
    ("scripted", "none"),
    group=DEVICES,
)
SESSION = Argument("session", "true: start a console with keys for one person (? lists them)", "true", SWITCH)
DRIVES = Argument("mode", "how authority passes between expert and policy", "priority", MODES)
SUCCESS_MODEL = Argument(
    "success_model",
    "folder of a success model (il-ros reward train): an episode of whose success it is sure ends as one; empty: none",
    "",
)
PROGRESS_MODEL = Argument(
    "progress_model",
    "folder of a progress model (il-ros reward train --family progress): without progress, mode gated requests the "
    "expert; empty: none",
    "",
)
END_AT = Argument(
    "end_at",
    "probability from which success_model ends an episode, at least its own threshold; 0: it only says it",
    "0.5",
)
REPORT = Argument(
    "report", "true: write a report at the end of the session, ROOT_report/index.html", "true", SWITCH
)
PERSON = Argument(
    "person",
    "you, or a simulated person, which operates the session for `episodes`; without a session it takes over "
    "from the policy in hg_dagger",
    "you",
    ("you", "simulated"),
)
FIRST = Argument(
    "checkpoint",
    "folder of the initial policy; if it does not exist, the expert drives alone",
    "checkpoint/v1",
)
TRAINED = Argument("policies", "folder in which to save the policies trained during the run", "checkpoint")
MODE = Argument(
    "mode", "how authority passes between expert and policy; can be changed at run time", "hg_dagger", MODES
)
BETA = Argument(
    "beta",
    "dagger: the expert's share per round: constant:0.3, linear:10, exponential:0.85 or step:1",
    "exponential:0.85",
)
UNIT = Argument(
    "unit",
    "dagger: how long each randomly drawn driver keeps authority",
    "step",
    ("step", "segment", "episode"),
)
ASK = Argument("ask", "gated: uncertainty above which the expert is queried; 0: learned at run time", "0.0")
PER_HOUR = Argument("per_hour", "gated: maximum queries per hour, spread evenly", "60")
AT_ONCE = Argument("at_once", "gated: maximum queries in a burst", "3")
WARM_UP = Argument(
    "warm_up_s", "gated: seconds of policy driving before the learned threshold is used", "10.0"
)
LEAST = Argument(
    "least_s", "gated: minimum seconds of policy driving between a hand-back and the next query", "0.5"
)

ACTION_CLIENTS = Argument(
    "action_clients",
    "names of nodes that forward commands to action servers, such as a gripper's, separated by spaces; each has a "
    "section in params_file; empty: none",
    "",
)

PROCESSES = (NAMESPACE, PARAMS_FILE, AUTOSTART, RESPAWN, LOG_LEVEL)
WORLD = (TASK, CONTRACT, SIM, SIM_TIME, SIMULATOR, SPEED, SEED, CAMERAS, ACTION_CLIENTS, *PROCESSES)
UNATTENDED = (EPISODES, TIME_LIMIT, RESULT)
