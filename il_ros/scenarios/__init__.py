"""The scenarios: sets of nodes for recording, deployment, DAgger, training and simulation. See `graph`."""

from __future__ import annotations

from il_ros.scenarios import arguments as arg
from il_ros.scenarios.graph import Scenario
from il_ros.scenarios.parts import (
    action_clients,
    conductor,
    expert,
    judge,
    patient,
    policy,
    recorder,
    session,
    sim,
    supervisor,
    trainer,
)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "record",
            "A person or a scripted expert demonstrates a task; the recorder saves the episodes.",
            (arg.EXPERT, arg.ROOT, arg.OPERATOR, arg.SUCCESS_MODEL, arg.END_AT, *arg.WORLD, *arg.UNATTENDED),
            lambda given: (
                *sim(given),
                *expert(given),
                *supervisor(given),
                *action_clients(given),
                *recorder(given),
                *judge(given),
                *conductor(given),
            ),
        ),
        Scenario(
            "deploy",
            "A trained policy acts once a person lets it; an expert may take over.",
            (
                *(arg.CHECKPOINT, arg.START, arg.TAKEOVER, arg.SESSION, arg.DRIVES),
                *(arg.RECORD, arg.ROOT, arg.OPERATOR, arg.SUCCESS_MODEL, arg.END_AT),
                *(*arg.WORLD, *arg.UNATTENDED),
            ),
            lambda given: (
                *sim(given),
                *policy(given),
                *expert(given),
                *supervisor(given),
                *action_clients(given),
                *recorder(given),
                *judge(given),
                *session(given),
                *conductor(given),
            ),
        ),
        Scenario(
            "dagger",
            "A policy acts, an expert corrects it, and the trainer trains the next policy from both.",
            (
                *(arg.FIRST, arg.TRAINED, arg.START, arg.CORRECTOR, arg.SESSION, arg.PERSON, arg.REPORT),
                *(arg.MODE, arg.BETA, arg.UNIT),
                *(arg.ASK, arg.PER_HOUR, arg.AT_ONCE, arg.WARM_UP, arg.LEAST),
                *(arg.SUCCESS_MODEL, arg.END_AT, arg.PROGRESS_MODEL),
                *(arg.RECIPE, arg.ROOT, arg.OPERATOR, *arg.WORLD, *arg.UNATTENDED, arg.PER_ROUND),
            ),
            lambda given: (
                *sim(given),
                *policy(given),
                *expert(given),
                *supervisor(given),
                *action_clients(given),
                *recorder(given),
                *judge(given),
                *trainer(given),
                *session(given),
                *conductor(given),
            ),
        ),
        Scenario(
            "env",
            "Your own program acts through il_ros.nodes.env.ros_env.RosEnv; an expert may take over.",
            (arg.TAKEOVER, arg.KEEP, arg.ROOT, arg.OPERATOR, *arg.WORLD),
            lambda given: patient(
                given,
                (*sim(given), *expert(given), *supervisor(given), *action_clients(given), *recorder(given)),
            ),
        ),
        Scenario(
            "train",
            "The trainer waits for its ~/train service and trains from the recorded episodes.",
            (arg.SHOWN, arg.POLICIES, arg.RECORDED, arg.RECIPE, *arg.PROCESSES),
            trainer,
        ),
        Scenario(
            "sim",
            "The simulator alone.",
            (arg.SIMULATED, arg.SIMULATOR, arg.SPEED, arg.SEED, arg.CAMERAS, *arg.PROCESSES),
            sim,
        ),
    )
}
