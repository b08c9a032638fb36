"""`il-ros policy export`: a policy in a format that other programs run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from il_ros.core.tables import say, worded
from il_ros.policies.lineage import find_checkpoint


def add_verb(verbs: Any) -> None:
    """Add the verb to those of `il-ros policy`."""
    exporting = verbs.add_parser(
        "export",
        help="write a policy in a format that other programs run",
        description="Write a policy in a format that other programs run, and a card that says what its inputs and "
        "outputs are.",
    )
    formats = exporting.add_subparsers(dest="format", required=True, metavar="format")
    onnx = formats.add_parser(
        "onnx",
        help="an ONNX graph, with the normalisation inside",
        description="Write a policy as an ONNX graph, with its normalisation inside, checked against torch on random "
        "inputs, and a card (FILE.md) with names, shapes and units. Policies that draw their answer by chance, read "
        "words or may lack inputs are refused. Needs the packages of il_ros[onnx].",
    )
    onnx.add_argument(
        "checkpoint", type=Path, help="folder of the checkpoint or of its training, such as checkpoint/v1"
    )
    onnx.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="default: the policy's version, such as v1.onnx"
    )
    onnx.add_argument("--overwrite", action="store_true", help="replace FILE and its card")
    onnx.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export; return 0, or 2 when the policy cannot be exported or the file not be written."""
    try:
        if args.out is not None and args.out.suffix != ".onnx":
            raise ValueError(f"--out {args.out}: the name must end in .onnx")
        find_checkpoint(args.checkpoint)
        from il_ros.policies import checkpoint  # imports torch
        from il_ros.policies.export.onnx_graph import export

        policy = checkpoint.load(args.checkpoint)
        file = args.out or _named_by(policy.version)
        for taken in (file, file.with_suffix(".md")):
            if taken.exists() and not args.overwrite:
                raise ValueError(f"{taken} exists; choose another --out, or replace it with --overwrite")
        done = export(policy, file)
    except (ValueError, OSError) as error:
        say(f"il-ros policy export: {worded(error)}", file=sys.stderr)
        return 2
    shapes = ", ".join(f"{port.name} ({', '.join(map(str, port.shape))})" for port in done.inputs)
    answers = ", ".join(f"{port.name} ({', '.join(map(str, port.shape))})" for port in done.outputs)
    say(f"{done.file}: {shapes} to {answers}; differs from torch by at most {done.difference:.2g}")
    say(f"{done.card} says what each number is.")
    return 0


def _named_by(version: str) -> Path:
    """Return the file in the working folder that a version names; raises ValueError where it would lie elsewhere.

    The version is read from the checkpoint, which may come from anyone.
    """
    if Path(version).name != version:
        raise ValueError(
            f"policy {version}: its version is no name of a file; choose one with --out FILE.onnx"
        )
    return Path(f"{version}.onnx")
