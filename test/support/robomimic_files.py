"""robomimic files for tests, written by h5py as robomimic's documents say."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

LENGTHS = {"demo_0": 6, "demo_2": 4, "demo_10": 5}
RATE_HZ = 20


def values(name: str) -> dict[str, np.ndarray]:
    """The arrays of one demonstration: numbers, and pictures whose every pixel differs."""
    rng = np.random.default_rng(int(name[5:]))
    length = LENGTHS[name]
    return {
        "actions": rng.uniform(-1, 1, (length, 7)),
        "rewards": np.eye(length)[-1] if name != "demo_2" else np.zeros(length),
        "dones": np.eye(length)[-1].astype(np.int64),
        "states": rng.normal(size=(length, 9)),
        "obs/robot0_eef_pos": rng.normal(size=(length, 3)),
        "obs/object": rng.normal(size=(length, 10)),
        "obs/agentview_image": rng.integers(0, 256, (length, 24, 32, 3), dtype=np.uint8),
    }


def write(path: Path, change=None) -> Path:
    """Write the file; `change(file)` may alter it before it is closed."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(LENGTHS.values())
        environment = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": RATE_HZ}}
        data.attrs["env_args"] = json.dumps(environment)
        for name, length in LENGTHS.items():
            demo = data.create_group(name)
            demo.attrs["num_samples"] = length
            demo.attrs["model_file"] = "<mujoco/>"
            for key, array in values(name).items():
                pictures = key.endswith("image")
                demo.create_dataset(key, data=array, compression="gzip" if pictures else None)
                if key.startswith("obs/"):
                    demo.create_dataset(f"next_{key}", data=np.concatenate([array[1:], array[-1:]]))
        file.create_dataset("mask/train", data=np.array([b"demo_0", b"demo_10"]))
        file.create_dataset("mask/valid", data=np.array([b"demo_2"]))
        if change is not None:
            change(file)
    return path
