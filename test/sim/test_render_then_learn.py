"""A process that has rendered can still train: Mesa and Triton (in torch's CUDA build) hold two versions of LLVM."""

import subprocess
import sys

import pytest

RENDER = """
import mujoco
from il_ros.sim.mujoco.render import Renderer
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><camera name="c" pos="0 0 3"/><geom size="1"/></worldbody></mujoco>'
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
picture = Renderer(model).picture(data, "c", 64, 48)
assert picture.shape == (48, 64, 3) and picture.any()
"""
LEARN = """
import torch
layer = torch.nn.Linear(2, 1)
optimiser = torch.optim.Adam(layer.parameters())
layer(torch.ones(2)).sum().backward()
optimiser.step()
"""


@pytest.mark.parametrize("steps", [RENDER + LEARN, LEARN + RENDER], ids=["rendered first", "trained first"])
def test_rendering_and_training_meet_in_one_process(steps):
    ran = subprocess.run([sys.executable, "-c", steps], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
