"""The arguments that the scenarios share. See `il_ros.scenarios`."""

from __future__ import annotations

from il_ros.records.labelling import MODES
from il_ros.scenarios.graph import Argument

_SWITCH = ("true", "false")
TASKS = {
    "reach": "arm_reach",
    "push": "arm_push",
    "pick_place": "arm_pick_place",
    "drive": "drive",
}
"""The contract in config/contracts that each simulated task is shown and done under."""

SIMULATED = Argument("task", "what is simulated", "push", tuple(TASKS))
TASK = Argument(
    "task",
    f"written into every episode; {', '.join(TASKS)} are simulated and have a scripted expert, "
    "with sim:=false it may be a name of your own",
    "push",
)
CONTRACT = Argument(
    "contract", "contract file, or the name of one in config/contracts; empty: the task's own", ""
)
SIM = Argument("sim", "true: start the simulator; false: a robot has the topics", "true", _SWITCH)
SIM_TIME = Argument(
    "use_sim_time",
    "with sim:=false: true when a simulator of your own has the topics, and publishes /clock",
    "false",
    _SWITCH,
)
SIMULATOR = Argument(
    "simulator",
    "what simulates the task: MuJoCo in the package, Gazebo Classic (`make gazebo`), or gz-sim (ros_gz)",
    "mujoco",
    ("mujoco", "gazebo_classic", "gz"),
)
SPEED = Argument("speed", "simulated seconds per second; 0: as fast as possible, in lockstep", "1.0")
SEED = Argument("seed", "seed of the first simulated episode; each next one has the next", "0")
CAMERAS = Argument("cameras", "true: the simulator renders and publishes its cameras", "true", _SWITCH)
NAMESPACE = Argument("namespace", "namespace of every node; empty: none", "")
PARAMETERS = Argument(
    "parameters",
    "parameter file (YAML) that overrides config/nodes, but not what the scenario's own arguments set; "
    "empty: none",
    "",
)
ROOT = Argument("root", "folder that receives the episodes", "episodes")
SHOWN = Argument("root", "folder of the episodes to learn from", "episodes")
OPERATOR = Argument("operator", "who shows the task; kept with every episode", "")
EXPERT = Argument(
    "expert",
    "who proposes; the keyboard needs a terminal of its own: none here, and run teleop_keyboard there",
    "scripted",
    ("scripted", "joy", "leader", "none"),
)
TAKEOVER = Argument(
    "expert", "who may take over from the policy", "none", ("scripted", "joy", "leader", "none")
)
CHECKPOINT = Argument("checkpoint", "folder of the trained policy", "checkpoint")
_RECORDER = "true: a recorder is there; /recorder/start begins an episode"
KEEP = Argument("record", _RECORDER, "false", _SWITCH)
RECORD = Argument("record", _RECORDER, "true", _SWITCH)
EPISODES = Argument("episodes", "simulated episodes to run unattended; 0: you start and stop them", "0")
TIME_LIMIT = Argument(
    "time_limit_s",
    "simulated seconds after which an episode failed: an unattended one, and a person's own in a simulated "
    "session, where 0 is never",
    "20.0",
)
PER_ROUND = Argument(
    "per_round",
    "unattended episodes of a round, after which all wait for the next policy; 0: it is trained meanwhile",
    "0",
)
RESULT = Argument("result", "JSON file for the outcomes of unattended episodes; empty: none", "")
POLICIES = Argument("checkpoint", "folder that receives the trained policies", "checkpoint")
RECORDED = Argument("contract", "contract to train under; empty: the one of the episodes", "")
RECIPE = Argument("recipe", "recipe, a file or the name of one in config/training; empty: a fitting one", "")

CORRECTOR = Argument(
    "expert",
    "who corrects the policy; keyboard: the keys of the session",
    "scripted",
    ("scripted", "joy", "leader", "keyboard", "none"),
)
SESSION = Argument("session", "true: a console for one person, with keys (? lists them)", "true", _SWITCH)
REPORT = Argument("report", "true: the session ends with a report, ROOT_report/index.html", "true", _SWITCH)
PERSON = Argument(
    "person",
    "who presses its keys; a simulated person does so for `episodes`, and without a session looks on and "
    "takes over in hg_dagger",
    "you",
    ("you", "simulated"),
)
FIRST = Argument(
    "checkpoint", "folder of the policy to begin with; none there: the expert alone", "checkpoint/v1"
)
TRAINED = Argument("policies", "folder that receives the policies trained meanwhile", "checkpoint")
MODE = Argument("mode", "who drives, expert or policy; may be set while it runs", "hg_dagger", MODES)
BETA = Argument(
    "beta",
    "dagger: the expert's share by round, constant:0.3, linear:10, exponential:0.85 or step:1",
    "exponential:0.85",
)
UNIT = Argument("unit", "dagger: how long a drawn driver drives", "step", ("step", "segment", "episode"))
ASK = Argument("ask", "gated: doubt above which the expert is asked; 0: learnt while it runs", "0.0")
PER_HOUR = Argument("per_hour", "gated: requests in any hour at most, spread evenly over it", "60")
AT_ONCE = Argument("at_once", "gated: requests at most in a row, before they are due", "3")
WARM_UP = Argument(
    "warm_up_s", "gated: seconds the policy drives before the learned threshold is trusted", "10.0"
)
LEAST = Argument(
    "least_s", "gated: seconds the policy drives at least between a hand-back and the next request", "0.5"
)

WORLD = (TASK, CONTRACT, SIM, SIM_TIME, SIMULATOR, SPEED, SEED, CAMERAS, NAMESPACE, PARAMETERS)
UNATTENDED = (EPISODES, TIME_LIMIT, RESULT)
