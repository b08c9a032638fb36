"""What il_ros registers by entry points: for each group, name = "module:object". `setup.py` hands this table on.

A package of one's own has such a table in its own setup.py; see examples/.
"""

ENTRY_POINTS = {
    "il_ros.families": {
        "bc": "il_ros.policies.families.behaviour_cloning:FAMILY",
        "ensemble": "il_ros.policies.families.ensemble:FAMILY",
        "transformer": "il_ros.policies.families.transformer:FAMILY",
        "flow": "il_ros.policies.families.flow:FAMILY",
    },
    "il_ros.rewards": {},
    "il_ros.tasks": {
        "reach": "il_ros.sim.tasks.reach:Reach",
        "push": "il_ros.sim.tasks.push:Push",
        "pick_place": "il_ros.sim.tasks.pick_place:PickPlace",
        "drive": "il_ros.sim.tasks.drive:DriveTask",
    },
    "il_ros.experts": {
        "reach": "il_ros.sim.experts.reach:ReachExpert",
        "push": "il_ros.sim.experts.push:PushExpert",
        "pick_place": "il_ros.sim.experts.pick_place:PickPlaceExpert",
        "drive": "il_ros.sim.experts.drive:DriveExpert",
    },
    "il_ros.devices": {
        "joy": "il_ros.nodes.teleop.joy_node:TeleopJoy",
        "keyboard": "il_ros.nodes.teleop.keyboard_node:TeleopKeyboard",
        "leader": "il_ros.nodes.teleop.leader_node:TeleopLeader",
    },
}
