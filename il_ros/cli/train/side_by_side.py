"""The processes of a training with several seeds: one job for each, some at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from il_ros.episodes.jobs import cores
from il_ros.training.metrics.seeds import SeedResult
from il_ros.training.recipe import Training
from il_ros.training.trainer import job as jobs
from il_ros.training.trainer.job import Event, Job
from il_ros.training.trainer.plans import TrainingPlan

_POLL_S = 0.1


def at_once(count: int, training: Training) -> int:
    """Return how many of `count` trainings run at a time: each has `threads` cores of its own."""
    return max(1, min(count, cores() // training.threads))


def all_trained(
    plans: Mapping[int, TrainingPlan],
    most: int,
    on_event: Callable[[int, Event], None],
    on_fault: Callable[[int, str], None],
    stopped: Callable[[], bool],
) -> tuple[list[SeedResult], list[str]]:
    """Carry out the plan of each seed, `most` at a time; return the results of those that end well, and the faults.

    `on_event` is called with the seed and each event of its training, `on_fault` with that of one that fails, and why.
    Once `stopped()`, what runs is interrupted, and nothing else begins; a training that was interrupted is neither a
    result nor a fault. The results are in the order of `plans`.
    """
    waiting, results, faults = list(plans), dict[int, SeedResult](), list[str]()
    running: dict[int, Job] = {}
    interrupted = False
    try:
        while running or (waiting and not stopped()):
            while waiting and len(running) < most and not stopped():
                seed = waiting.pop(0)
                running[seed] = jobs.begin(plans[seed])
            if stopped() and not interrupted:
                interrupted = True
                for job in running.values():
                    job.interrupt()
            for seed, job in list(running.items()):
                events, status = job.poll()
                for event in events:
                    on_event(seed, event)
                    if event["event"] == "done" and event["finished"]:
                        results[seed] = SeedResult.of(seed, str(plans[seed].out), event)
                if status is not None:
                    if status not in (0, *jobs.STOPPED):
                        why = jobs.reason_of(status, job.last_line.removeprefix("il-ros train: "))
                        faults.append(f"seed {seed}: {why}")
                        on_fault(seed, why)
                    running.pop(seed).close()
            time.sleep(_POLL_S)
    finally:
        for job in running.values():
            job.close()
    return [results[seed] for seed in plans if seed in results], faults
