"""Offscreen rendering of the simulated scene.

Graphics are imported and created at the first image, so that runs without cameras need none.
"""

from __future__ import annotations

import contextlib
import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

_MISSING = (
    "no offscreen graphics (EGL): {error}. On Debian or Ubuntu: "
    "sudo apt-get install -y libegl1 libgl1-mesa-dri. Runs without cameras need no graphics."
)


class Renderer:
    """Renders one model's cameras at any size; creates the graphics context at the first image."""

    def __init__(self, model: mujoco.MjModel):
        self._model = model
        self._gl: Any = None
        self._context: Any = None
        self._scene: Any = None
        self._option = mujoco.MjvOption()

    def picture(self, data: mujoco.MjData, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a camera's image, (height, width, 3).

        Raises ValueError on an unknown camera, RuntimeError naming the packages when EGL is missing.
        """
        number = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if number < 0:
            raise ValueError(f"the model has no camera '{camera}'")
        self._make(width, height)
        self._gl.make_current()
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = number
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, view, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._context)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, area, self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL's rows start at the bottom

    def close(self) -> None:
        """Release the graphics context."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
        self._gl = self._context = self._scene = None

    def _make(self, width: int, height: int) -> None:
        """Create the context, or replace it by a larger one."""
        if self._gl is not None and width <= self._context.offWidth and height <= self._context.offHeight:
            return
        if self._gl is not None:
            width, height = max(width, self._context.offWidth), max(height, self._context.offHeight)
        self.close()
        self._gl = _graphics(width, height)
        self._gl.make_current()
        visual = self._model.vis.global_
        visual.offwidth, visual.offheight = width, height
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self._model, maxgeom=200)
        # shadows and reflections triple the frame time on a software renderer
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False


def _graphics(width: int, height: int) -> Any:
    """Return an offscreen context of the kind in MUJOCO_GL; EGL when it is not set."""
    kind = os.environ.get("MUJOCO_GL") or "egl"
    if kind not in ("egl", "osmesa", "glfw"):
        raise ValueError(f"MUJOCO_GL is '{kind}'; it must be egl (default), osmesa or glfw")
    load_triton()
    try:
        # not mujoco.GLContext: its kind was fixed by the environment when mujoco was first imported
        return import_module(f"mujoco.{kind}").GLContext(width, height)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise RuntimeError(_MISSING.format(error=error)) from error


def load_triton() -> None:
    """Load Triton's library, if there is one; call this before anything opens Mesa's software renderer.

    torch's CUDA build brings Triton, and its optimisers import it. Triton and Mesa's llvmpipe hold two versions of
    LLVM: if Mesa's is loaded first, importing Triton ends the process by a segmentation fault. The other order is
    fine (seen with Triton 3.7 and Mesa 22.3). A Triton that cannot be imported is of no use to torch either.
    """
    if find_spec("triton") is not None:
        with contextlib.suppress(Exception):
            import_module("triton")
