"""The part of `make interop` that runs in LeRobot's environment: load, index, edit, train, write.

    python scripts/interop_lerobot.py build/interop
    python scripts/interop_lerobot.py serve POLICY --port 0      # examples/lerobot_server, started by interop_remote.py

Every check raises AssertionError when it fails. Each line that is printed is a result.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import runpy
import sys
from pathlib import Path

import numpy as np
import torch

# A torchvision that does not fit this torch has no compiled operators; data sets need none of them.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.configs.types import FeatureType  # noqa: E402
from lerobot.datasets.dataset_tools import delete_episodes, merge_datasets  # noqa: E402
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402
from lerobot.datasets.utils import dataset_to_policy_features  # noqa: E402
from lerobot.policies.act.configuration_act import ACTConfig  # noqa: E402
from lerobot.policies.act.modeling_act import ACTPolicy  # noqa: E402
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig  # noqa: E402
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy  # noqa: E402
from lerobot.policies.factory import make_pre_post_processors  # noqa: E402
from lerobot.policies.pretrained import PreTrainedPolicy  # noqa: E402

CAMERAS = ("observation.images.overhead", "observation.images.wrist")
CHUNK = 8


SERVER = Path(__file__).parents[1] / "examples" / "lerobot_server" / "serve_lerobot.py"


def main() -> None:
    """Run all checks."""
    if sys.argv[1] == "serve":
        del sys.argv[1]
        runpy.run_path(str(SERVER), run_name="__main__")
        return
    work = Path(sys.argv[1])
    packages = ("lerobot", "torch", "torchvision", "datasets", "pyarrow", "av")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{datetime.date.today()}: Python {platform.python_version()}, {versions}")
    exact = opened(work / "data/image")
    for name in ("h264", "av1", "appended"):
        print(compared(name, opened(work / f"data/{name}"), exact))
    print(trained("h264", work / "data/h264"))
    print(trained("image", work / "data/image"))
    print(with_history(work / "data/image"))
    edited(work)


def opened(root: Path, **options: object) -> LeRobotDataset:
    """Return a data set that is read from disk, with PyAV."""
    return LeRobotDataset(f"il_ros/{root.name}", root=root, video_backend="pyav", **options)


def compared(name: str, dataset: LeRobotDataset, exact: LeRobotDataset) -> str:
    """Compare every frame with the same one of the data set of png images."""
    assert (dataset.num_episodes, dataset.num_frames) == (exact.num_episodes, exact.num_frames)
    decibels = []
    for index in range(dataset.num_frames):
        found, wanted = dataset[index], exact[index]
        assert found.keys() == wanted.keys()
        assert int(found["index"]) == index
        assert found["task"] == wanted["task"]
        for key in found:
            if key in CAMERAS:
                error = torch.mean((found[key] - wanted[key]) ** 2).item()
                decibels.append(10 * np.log10(1 / max(error, 1e-12)))
            elif key != "task":
                assert torch.equal(found[key], wanted[key]), (name, index, key)
    assert min(decibels) > 25  # small pictures with sharp edges, colours at half resolution
    return (
        f"{name}: {dataset.num_episodes} episodes, {dataset.num_frames} frames loaded and indexed; numbers equal, "
        f"pictures {min(decibels):.1f} dB PSNR at least, {np.median(decibels):.1f} in the median"
    )


def trained(name: str, root: Path) -> str:
    """Train ACT for one step on a batch that spans the episodes; return the losses before and after."""
    meta = opened(root).meta
    features = dataset_to_policy_features(meta.features)
    config = ACTConfig(
        input_features={key: each for key, each in features.items() if each.type is not FeatureType.ACTION},
        output_features={key: each for key, each in features.items() if each.type is FeatureType.ACTION},
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        pretrained_backbone_weights=None,
        dim_model=64,
        dim_feedforward=128,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        device="cpu",
    )
    assert set(config.output_features) == {"action"}
    assert {"observation.state", *CAMERAS} == set(config.input_features)
    times = {"action": [step / meta.fps for step in range(CHUNK)]}
    dataset = opened(root, delta_timestamps=times)
    torch.manual_seed(0)
    policy = ACTPolicy(config)
    before, _ = make_pre_post_processors(config, dataset_stats=meta.stats)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    batch = before(next(iter(loader)))
    optimiser = torch.optim.AdamW(policy.parameters(), lr=1e-4)
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        loss, _ = policy.forward(batch)
        assert torch.isfinite(loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    saved(policy, dataset, f"act_{name}", root)
    return f"{name}: one step of ACT, loss {losses[0]:.3f} before and {losses[1]:.3f} after"


def saved(policy: PreTrainedPolicy, dataset: LeRobotDataset, name: str, root: Path) -> None:
    """Save a policy with its processors, as LeRobot's training does, and its answer to the first frame."""
    folder = root.parents[1] / "policies" / name
    policy.save_pretrained(folder)
    before, after = make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats)
    for processor in (before, after):
        processor.save_pretrained(folder)
    frame, history = opened(root)[0], policy.config.n_obs_steps
    pictures = {key.rpartition(".")[2]: frame[key].permute(1, 2, 0).numpy() for key in CAMERAS}
    seen = {key: np.rint(255 * picture).astype(np.uint8) for key, picture in pictures.items()}
    actions = np.zeros((policy.config.n_action_steps, 7))
    if history == 1:
        exact = {
            key: torch.from_numpy(seen[key.rpartition(".")[2]]).permute(2, 0, 1) / 255 for key in CAMERAS
        }
        batch = before({"observation.state": frame["observation.state"], "task": "push", **exact})
        with torch.inference_mode():
            chunk = policy.predict_action_chunk(batch)
        actions = torch.stack([after(chunk[:, step])[0] for step in range(CHUNK)]).numpy()
    joints = frame["observation.state"].double().numpy()
    np.savez(folder.with_suffix(".npz"), joints=joints, actions=actions, history=history, **seen)


def with_history(root: Path) -> str:
    """Save an untrained diffusion policy, which sees two steps; return the count of its parameters."""
    dataset = opened(root)
    features = dataset_to_policy_features(dataset.meta.features)
    config = DiffusionConfig(
        input_features={key: each for key, each in features.items() if each.type is not FeatureType.ACTION},
        output_features={key: each for key, each in features.items() if each.type is FeatureType.ACTION},
        n_obs_steps=2,
        horizon=8,
        n_action_steps=4,
        down_dims=(16, 32),
        pretrained_backbone_weights=None,
        use_group_norm=True,
        num_train_timesteps=4,
        crop_shape=None,
        device="cpu",
    )
    torch.manual_seed(0)
    policy = DiffusionPolicy(config)
    saved(policy, dataset, "diffusion", root)
    return f"a diffusion policy of {sum(each.numel() for each in policy.parameters())} numbers, untrained"


def edited(work: Path) -> None:
    """Have LeRobot delete an episode, merge two data sets, and write one of its own, to be imported."""
    source = opened(work / "data/h264")
    kept = delete_episodes(
        source, [1], output_dir=work / "edited/without_episode_1", repo_id="il_ros/without"
    )
    assert kept.num_frames == source.num_frames - source.meta.episodes[1]["length"]
    merged = merge_datasets(
        [source, opened(work / "data/appended")], "il_ros/merged", output_dir=work / "edited/merged"
    )
    assert merged.num_frames == 2 * source.num_frames
    names = [f"j{number}.pos" for number in range(6)]
    numbers = {"dtype": "float32", "shape": (6,), "names": names}
    picture = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    own = LeRobotDataset.create(
        "il_ros/written",
        fps=15,
        root=work / "edited/written",
        features={"observation.state": numbers, "action": numbers, "observation.images.front": picture},
        video_backend="pyav",
    )
    rng = np.random.default_rng(0)
    for length in (7, 11):
        for _ in range(length):
            own.add_frame(
                {
                    "observation.state": rng.normal(size=6).astype(np.float32),
                    "action": rng.normal(size=6).astype(np.float32),
                    "observation.images.front": rng.integers(0, 255, (48, 64, 3), dtype=np.uint8),
                    "task": "made up",
                }
            )
        own.save_episode()
    own.finalize()
    print("LeRobot deleted an episode, merged two data sets and wrote one; il_ros imports them:")


if __name__ == "__main__":
    main()
