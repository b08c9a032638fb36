"""How often the data doctor misses a planted fault, and how often it raises a false alarm on clean takes.

    python bench/doctor.py                       # records the takes of a scripted expert first; minutes
    python bench/doctor.py --root takes          # keeps them there, or uses those that are there

Thresholds were set on seeds below 1100; the figures are of seeds from 2000 on. A fault counts as found if a finding of
its kind names at least half of the takes that it was planted in.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from support import planted_takes as plant

from il_ros.core import contract as contracts
from il_ros.core.tables import say, table
from il_ros.envs.experts import expert_of
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays import cache
from il_ros.episodes.catalogue import scan
from il_ros.episodes.doctor.examination import examine, read_takes
from il_ros.episodes.doctor.findings import Check
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate

NUMBERS = {
    Check.OFFSET: (plant.offset, plant.offset_in_one),
    Check.LAG: (plant.lag,),
    Check.OUTLIER: (plant.outlier, plant.hesitant),
    Check.DUPLICATE: (plant.duplicate,),
    Check.IDLE: (plant.idle,),
    Check.CONSTANT: (plant.constant,),
    Check.SATURATED: (plant.saturated,),
    Check.JUMP: (plant.jump,),
    Check.UNIT: (plant.degrees,),
    Check.COVERAGE: (plant.alike_starts,),
    Check.REVERSED: (plant.contradicting,),
}
SHIFTED = {Check.SHIFT: (plant.shift, plant.shift_in_some)}
WAITS = {Check.OUTLIER: (plant.hesitant,), Check.DUPLICATE: (plant.duplicate,), Check.IDLE: (plant.idle,)}
PICTURES = {Check.FROZEN: (plant.frozen,), Check.DARK: (plant.dark,), Check.BLURRED: (plant.blurred,)}
WORLDS = {
    "push": ("arm_push", NUMBERS),
    "drive": ("drive", SHIFTED | WAITS | {Check.REVERSED: (plant.contradicting,)}),
    "pictures": (
        "arm_push_images",
        SHIFTED
        | {Check.SHIFT: (plant.shift, plant.shift_of_wrist, plant.shift_in_some)}
        | PICTURES
        | {Check.OFFSET: (plant.offset,), Check.IDLE: (plant.idle,)},
    ),
}
"""By the name of a row: the contract, and by kind of finding the faults that its takes can have."""
OBSERVED = """  overhead: {topic: overhead_camera/image_raw, type: sensor_msgs/msg/Image,
             image: {width: 96, height: 96, fit: resize}, max_age_s: 0.15}
  wrist: {topic: wrist_camera/image_raw, type: sensor_msgs/msg/Image,
          image: {width: 96, height: 96, fit: resize}, max_age_s: 0.15}
"""


def recorded(world, root, count, seed):
    """Record `count` takes of the scripted expert unless `root` has some."""
    if root.is_dir() and any(root.glob("episode_*")):
        return
    contract = contracts.find("drive" if world == "drive" else "arm_push")
    if world == "pictures":  # the expert reads positions, the takes are judged by their pictures
        contract = contracts.parse(
            contract.text.replace("\nactions:", f"{OBSERVED}\nactions:", 1), "with cameras"
        )
    task, contract = make_any_task("drive" if world == "drive" else "push", contract)
    with closing(task):
        for _ in demonstrate(
            TaskEpisodes(task, contract, root),
            expert_of("scripted", task, contract),
            range(seed, seed + count),
        ):
            pass


def sets(takes, size, rng, count):
    """Yield `count` random sets of `size` takes."""
    for _ in range(count):
        places = sorted(rng.choice(len(takes.episodes), size=size, replace=False).tolist())
        yield [takes.episodes[place] for place in places]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the takes (default: a temporary one)")
    parser.add_argument(
        "--takes", type=int, default=60, help="recorded per world; pictures: half (default: 60)"
    )
    parser.add_argument("--size", type=int, default=16, help="takes in a set (default: 16)")
    parser.add_argument("--sets", type=int, default=20, help="sets per fault (default: 20)")
    parser.add_argument("--seed", type=int, default=2000, help="first seed of the takes (default: 2000)")
    parser.add_argument("--world", choices=WORLDS, action="append", help="only this row; may be repeated")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = args.root or Path(temporary)
        for world in args.world or WORLDS:
            name, faults = WORLDS[world]
            count = args.takes // 2 if world == "pictures" else args.takes
            recorded(world, root / world, count, args.seed)
            contract = contracts.find(name)
            takes, left_out = read_takes(
                scan(root / world).entries, contract, cache.cache_folder(root / world)
            )
            assert not left_out, left_out
            report(world, takes, faults, args)


def as_shown(takes, world, rng):
    """Return the takes, those with pictures with a person's stops: at an even speed, no camera's delay can be seen."""
    return plant.with_pauses(takes, rng)[0] if world == "pictures" else takes


def report(world, takes, faults, args):
    rng = np.random.default_rng(args.seed)
    alarms = Counter()
    for chosen in sets(takes, args.size, rng, args.sets):
        clean = as_shown(dataclasses.replace(takes, episodes=tuple(chosen)), world, rng)
        alarms.update({finding.check for finding in examine(clean)})
    rows = []
    for check, plants in faults.items():
        for planted in plants:
            rows.append(planted_row(world, takes, check, planted, args, rng))
    say(f"\n{world}: {len(takes.episodes)} takes, sets of {args.size}, seeds from {args.seed}")
    say(
        table(
            ("fault", "sets", "missed", "wrong takes named", "other findings"), rows, right=("sets", "missed")
        )
    )
    say(
        f"clean sets with a finding, of {args.sets}: "
        + (", ".join(f"{c.value} {n}" for c, n in alarms.items()) or "none")
    )


def planted_row(world, takes, check, planted, args, rng):
    missed = made = 0
    wrong, others = Counter(), Counter()
    for chosen in sets(takes, args.size, rng, args.sets):
        changed = planted(as_shown(dataclasses.replace(takes, episodes=tuple(chosen)), world, rng), rng)
        if changed is None:
            continue
        bad, names = changed
        made += 1
        findings = examine(bad)
        named = {name for finding in findings if finding.check is check for name in finding.episodes}
        missed += len(named & names) < len(names) / 2
        wrong["takes"] += len(named - names)
        others.update({finding.check.value for finding in findings if finding.check is not check})
    listed = ", ".join(f"{kind} {count}" for kind, count in others.most_common())
    return (planted.__name__, str(made), str(missed), str(wrong["takes"]), listed)


if __name__ == "__main__":
    main()
