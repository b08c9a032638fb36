"""What il_ros registers by entry points: for each group, name = "module:object". `setup.py` hands this table on.

A package of one's own has such a table in its own setup.py; see examples/.
"""

ENTRY_POINTS = {
    "il_ros.families": {
        "bc": "il_ros.policies.families.behaviour_cloning:FAMILY",
        "ensemble": "il_ros.policies.families.ensemble:FAMILY",
        "film": "il_ros.policies.families.film:FAMILY",
        "transformer": "il_ros.policies.families.transformer:FAMILY",
        "flow": "il_ros.policies.families.flow:FAMILY",
        "diffusion": "il_ros.policies.families.diffusion:FAMILY",
        "two_step": "il_ros.policies.families.two_step:FAMILY",
        "act": "il_ros.policies.families.act:FAMILY",
        "moe": "il_ros.policies.families.moe:FAMILY",
        "actor": "il_ros.policies.families.actor:FAMILY",
        "inverse": "il_ros.policies.families.inverse:FAMILY",
        "guided": "il_ros.policies.families.guided:FAMILY",
    },
    "il_ros.rewards": {
        "gail": "il_ros.rewards.adversarial:GAIL",
        "airl": "il_ros.rewards.adversarial:AIRL",
        "success": "il_ros.rewards.success:SUCCESS",
        "progress": "il_ros.rewards.progress:PROGRESS",
    },
    "il_ros.codecs": {
        "sensor_msgs/msg/JointState": "il_ros.core.codecs.joints:JointStateCodec",
        "control_msgs/msg/DynamicJointState": "il_ros.core.codecs.joints:DynamicJointStateCodec",
        "std_msgs/msg/Float64MultiArray": "il_ros.core.codecs.joints:ArrayCodec",
        "std_msgs/msg/Float32MultiArray": "il_ros.core.codecs.joints:ArrayCodec",
        "trajectory_msgs/msg/JointTrajectory": "il_ros.core.codecs.joints:JointTrajectoryCodec",
        "control_msgs/msg/JointJog": "il_ros.core.codecs.joints:JointJogCodec",
        "control_msgs/msg/MultiDOFCommand": "il_ros.core.codecs.joints:MultiDofCodec",
        "geometry_msgs/msg/PoseStamped": "il_ros.core.codecs.fields:POSE_STAMPED",
        "geometry_msgs/msg/Twist": "il_ros.core.codecs.fields:TWIST",
        "geometry_msgs/msg/TwistStamped": "il_ros.core.codecs.fields:TWIST_STAMPED",
        "sensor_msgs/msg/Imu": "il_ros.core.codecs.fields:IMU",
        "geometry_msgs/msg/WrenchStamped": "il_ros.core.codecs.fields:WRENCH_STAMPED",
        "nav_msgs/msg/Odometry": "il_ros.core.codecs.fields:ODOMETRY",
        "sensor_msgs/msg/Range": "il_ros.core.codecs.fields:RangeCodec",
        "sensor_msgs/msg/LaserScan": "il_ros.core.codecs.pictures:LaserScanCodec",
        "sensor_msgs/msg/Image": "il_ros.core.codecs.pictures:ImageCodec",
        "sensor_msgs/msg/CompressedImage": "il_ros.core.codecs.pictures:CompressedImageCodec",
        "std_msgs/msg/String": "il_ros.core.codecs.pictures:TextCodec",
        "tf2_msgs/msg/TFMessage": "il_ros.core.codecs.transforms:TransformsCodec",
    },
    "il_ros.tasks": {
        "reach": "il_ros.sim.tasks.table.reach:Reach",
        "push": "il_ros.sim.tasks.table.push:Push",
        "pick_place": "il_ros.sim.tasks.table.pick_place:PickPlace",
        "drive": "il_ros.sim.tasks.drive:DriveTask",
        "carry": "il_ros.sim.tasks.carry:Carry",
        "touch": "il_ros.sim.tasks.table.touch:Touch",
    },
    "il_ros.experts": {
        "reach": "il_ros.sim.experts.reach:ReachExpert",
        "push": "il_ros.sim.experts.push:PushExpert",
        "pick_place": "il_ros.sim.experts.pick_place:PickPlaceExpert",
        "drive": "il_ros.sim.experts.drive:DriveExpert",
        "carry": "il_ros.sim.experts.carry:CarryExpert",
        "touch": "il_ros.sim.experts.touch:TouchExpert",
    },
    "il_ros.devices": {
        "joy": "il_ros.nodes.teleop.joy_node:TeleopJoy",
        "keyboard": "il_ros.nodes.teleop.keyboard_node:TeleopKeyboard",
        "leader": "il_ros.nodes.teleop.leader_node:TeleopLeader",
    },
}
