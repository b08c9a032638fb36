"""Message packages of other people, built with the generators of ROS 2 that come with its Python packages.

`build` does in short what `colcon build` does for an interface package: from `msg/*.msg` and `action/*.action` it
makes a prefix with the definitions in `share/` and the Python classes, whose C code is compiled here. It needs a
C++ compiler and the headers of Python; without them `REASON` says what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import pytest

PREFIX = Path(sys.prefix)
STRUCTURES, WIRE, INTROSPECTION, DISPATCH, PYTHON = (
    "rosidl_generator_c",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_introspection_c",
    "rosidl_typesupport_c",
    "rosidl_generator_py",
)
LIBRARIES = {STRUCTURES: (), WIRE: (STRUCTURES,), INTROSPECTION: (STRUCTURES,)}
"""The libraries of a package that its Python classes need, each with those that it needs itself."""
CACHE = Path(__file__).resolve().parents[2] / "build" / "messages"
BASE = ("builtin_interfaces", "std_msgs", "service_msgs", "action_msgs", "unique_identifier_msgs")
"""What every package of messages and actions may use."""
COMPILE_S = 300


def _missing() -> str:
    if not (PREFIX / "share" / "rosidl_generator_py").is_dir():
        return (
            "ROS 2 is not installed as Python packages here: build an interface package with colcon instead"
        )
    if shutil.which("g++") is None:
        return "messages are compiled with g++, which is not installed"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "messages are compiled with the headers of Python, which are not installed"
    return ""


REASON = _missing()


def build(prefix: Path, package: str, files: dict[str, str], uses: tuple[str, ...] = ()) -> None:
    """Build `package` into `prefix`; `files`: 'msg/Tool.msg' -> its text; `uses`: packages of nested messages.

    Afterwards `site_packages(prefix)` belongs into sys.path, and `prefix` into AMENT_PREFIX_PATH.
    """
    share, work = prefix / "share" / package, prefix / "build" / package
    for name, text in files.items():
        (share / name).parent.mkdir(parents=True, exist_ok=True)
        (share / name).write_text(text)
    idl = [_to_idl(share, package, name) for name in files]
    descriptions = _describe(share, work / "described", package, idl, uses)
    folders = {generator: work / generator / package for generator in (*LIBRARIES, DISPATCH, PYTHON)}
    for generator, folder in folders.items():
        for kind in {Path(name).parent for name in files}:
            (folder / kind / "detail").mkdir(parents=True, exist_ok=True)
        _generate(generator, share, folder, package, idl, descriptions)
        if generator in LIBRARIES:
            _header(folder, package, generator)
    target = site_packages(prefix) / package
    shutil.copytree(folders[PYTHON], target, ignore=shutil.ignore_patterns("*.c", "*.json"))
    (target / "__init__.py").touch()
    _compile(work, folders, target, package, uses)


def built(package: str, files: dict[str, str], uses: tuple[str, ...] = ()) -> Path:
    """Return the prefix of a package, which is built once for the same files."""
    text = json.dumps([package, files, uses, sys.version, Path(__file__).read_text()])
    prefix = CACHE / f"{package}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not prefix.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            build(Path(folder) / "prefix", package, files, uses)
            with contextlib.suppress(OSError):  # another test run built it at the same time
                (Path(folder) / "prefix").rename(prefix)
    return prefix


def site_packages(prefix: Path) -> Path:
    """Return the folder of the Python packages in a prefix."""
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def source(patch: pytest.MonkeyPatch, *prefixes: Path) -> None:
    """Do in this process, and for those that it starts, what sourcing a workspace does."""
    sites = [str(site_packages(prefix)) for prefix in prefixes]
    patch.setattr(sys, "path", [*sites, *sys.path])
    for name, added in (("PYTHONPATH", sites), ("AMENT_PREFIX_PATH", [str(prefix) for prefix in prefixes])):
        before = [os.environ[name]] if os.environ.get(name) else []
        patch.setenv(name, os.pathsep.join([*added, *before]))


def _to_idl(share: Path, package: str, name: str) -> Path:
    from rosidl_adapter import convert_to_idl

    made = convert_to_idl(share, package, Path(name), share)
    return Path(made).relative_to(share)


def _describe(
    share: Path, generated: Path, package: str, idl: list[Path], uses: tuple[str, ...]
) -> list[str]:
    """Write the descriptions and hashes of the types; return them as the generators want them."""
    generated.mkdir(parents=True)
    _call(
        "rosidl_generator_type_description",
        generated / "describe.json",
        package_name=package,
        output_dir=str(generated),
        idl_tuples=[f"{share}:{each}" for each in idl],
        include_paths=[f"{each}:{_share(share, each)}" for each in (*BASE, *uses)],
    )
    for each in idl:  # a package that uses this one looks for them there
        shutil.copy(generated / each.with_suffix(".json"), share / each.with_suffix(".json"))
    return [f"{each}:{(generated / each).with_suffix('.json')}" for each in idl]


def _share(share: Path, package: str) -> Path:
    beside = share.parent / package
    return beside if beside.is_dir() else PREFIX / "share" / package


def _generate(
    generator: str, share: Path, folder: Path, package: str, idl: list[Path], descriptions: list[str]
) -> None:
    options = {
        DISPATCH: ["--typesupports", WIRE, INTROSPECTION],
        PYTHON: ["--typesupport-impls", DISPATCH],
    }
    _call(
        generator,
        folder / f"{generator}.json",
        *options.get(generator, []),
        package_name=package,
        output_dir=str(folder),
        template_dir=str(PREFIX / "share" / generator / "resource"),
        idl_tuples=[f"{share}:{each}" for each in idl],
        type_description_tuples=descriptions,
        ros_interface_files=[],
        target_dependencies=[str(share / each) for each in idl],
    )


def _call(generator: str, arguments: Path, *options: str, **values: object) -> None:
    arguments.write_text(json.dumps(values))
    program = PREFIX / "lib" / generator / generator
    command = [sys.executable, str(program), "--generator-arguments-file", str(arguments), *options]
    _run(command)


def _header(generated: Path, package: str, generator: str) -> None:
    template = PREFIX / "share" / generator / "resource" / f"{generator}__visibility_control.h.in"
    text = template.read_text().replace("@PROJECT_NAME@", package)
    text = text.replace("@PROJECT_NAME_UPPER@", package.upper())
    (generated / "msg").mkdir(parents=True, exist_ok=True)
    (generated / "msg" / f"{generator}__visibility_control.h").write_text(text)


def _compile(work: Path, folders: dict[str, Path], target: Path, package: str, uses: tuple[str, ...]) -> None:
    """Compile the libraries and the one that Python loads. It brings the others along: they are found by name."""
    includes = [Path(sysconfig.get_path("include")), Path(np.get_include()), PREFIX / "include"]
    includes += sorted(path for path in (PREFIX / "include").iterdir() if path.is_dir())
    includes += [each.parent for each in folders.values()]
    includes += [work.parent / each / generator for each in uses for generator in folders]
    objects = {
        generator: [_object(file, includes) for file in sorted(folder.rglob("*.c*"))]
        for generator, folder in folders.items()
    }
    used = [
        f"-l{each}__{kind}"
        for each in (*BASE, *uses)
        for kind in folders
        if (PREFIX / "lib" / f"lib{each}__{kind}.so").exists()
    ]
    used += [str(file) for each in uses for file in sorted((target.parent / each).glob("*.so"))]
    runtime = ("rosidl_runtime_c", DISPATCH, WIRE, "rosidl_typesupport_fastrtps_cpp", INTROSPECTION)
    used += [f"-l{name}" for name in (*runtime, "rcutils", "rmw", "fastcdr")]
    for generator, needs in LIBRARIES.items():
        own = [str(target / f"lib{package}__{each}.so") for each in needs]
        _link(target / f"lib{package}__{generator}.so", [*objects[generator], *own, *used])
    own = [str(target / f"lib{package}__{each}.so") for each in LIBRARIES]
    _link(
        target / f"{package}_s__{DISPATCH}.so",
        ["-Wl,--no-as-needed", *objects[DISPATCH], *objects[PYTHON], *own, *used],
    )


def _object(source: Path, includes: list[Path]) -> str:
    language = ("c++", "-std=c++17") if source.suffix == ".cpp" else ("c", "-std=c11")
    target = str(source.with_suffix(source.suffix + ".o"))
    flags = ["-O0", "-w", "-fPIC", *(f"-I{path}" for path in includes)]
    _run(["g++", "-x", *language, *flags, "-c", str(source), "-o", target])
    return target


def _link(library: Path, parts: list[str]) -> None:
    folder = str(PREFIX / "lib")
    paths = [f"-L{folder}", f"-Wl,-rpath,{folder}", "-Wl,-rpath,$ORIGIN", f"-Wl,-soname,{library.name}"]
    _run(["g++", "-shared", "-o", str(library), *paths, *parts])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} ...: {done.stderr[-3000:]}")
