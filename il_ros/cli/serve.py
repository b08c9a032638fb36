"""`il-ros serve`: offer a checkpoint to other processes and machines."""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.core.processes.stopping import stop_signals
from il_ros.core.tables import counted, say, worded
from il_ros.policies.lineage import find_policy

MOST = 1024
"""Clients at a time, and threads of a computation."""

if TYPE_CHECKING:
    from il_ros.policies.loading import AnyPolicy
    from il_ros.policies.remote.server import ServingOptions


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="offer a policy to other processes and machines",
        description="Answer requests for actions over a websocket, in openpi's protocol (docs/remote_policies.md).",
    )
    parser.add_argument(
        "checkpoint", type=Path, help="folder of the checkpoint, of the run, or of the versions"
    )
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="(default: 127.0.0.1, this computer)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: a free one (default: 8000)")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="answer only clients that send the token in this file"
    )
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="TLS: the server's certificate (PEM)"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="TLS: the certificate's private key (PEM)")
    parser.add_argument("--clients", type=int, default=16, help="most clients at a time (default: 16)")
    parser.add_argument(
        "--device", default="cpu", help="where the policy computes: cpu, cuda or cuda:N (default: cpu)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of its computation (default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; return 0 after one, 2 on an invalid request."""
    from il_ros.policies.remote.extra import MissingError, require

    try:
        require()
        find_policy(args.checkpoint)
        options = options_of(args)  # imports torch
    except (MissingError, ValueError, OSError) as error:
        return _refuse(worded(error))
    from il_ros.interactive.promotion.loading import UnfitError, loaded, warm_up

    try:
        policy = loaded(args.checkpoint, None, None, args.device)
        _set_threads(args.threads)
        warm_up(policy)
    except (UnfitError, ValueError, OSError) as error:
        return _refuse(worded(error))
    tell(policy, options)
    try:
        _serve(policy, options)
    except OSError as error:
        return _refuse(f"{args.bind}:{args.port}: {error.strerror or error}")
    return 0


def options_of(args: argparse.Namespace) -> ServingOptions:
    """Return the options of the arguments; raises ValueError or OSError, which name the argument."""
    from il_ros.policies.remote.mapping import is_loopback, read_token
    from il_ros.policies.remote.server import ServingOptions

    if not 0 <= args.port <= 65535:
        raise ValueError(f"--port {args.port}: must be 0 to 65535")
    for name in ("clients", "threads"):
        if not 1 <= getattr(args, name) <= MOST:  # torch crashes with a million threads
            raise ValueError(f"--{name} {getattr(args, name)}: must be 1 to {MOST}")
    token = "" if args.token_file is None else read_token(args.token_file)
    if not token and not is_loopback(args.bind):
        raise ValueError(
            f"--bind {args.bind}: other computers can reach this address, so a token is needed; type: "
            "(umask 077; openssl rand -hex 32 > token)   and add --token-file token"
        )
    if (args.certificate is None) != (args.key is None):
        raise ValueError("--certificate and --key belong together")
    return ServingOptions(args.bind, args.port, token, _context(args), args.clients)


def tell(policy: AnyPolicy, options: ServingOptions) -> None:
    """Print what is served, and who can ask."""
    from il_ros.policies.remote.mapping import is_loopback

    contract = policy.contract
    say(
        f"policy {policy.version}, contract '{contract.name}': {counted(policy.horizon, 'step')} of "
        f"{counted(contract.action_size, 'number')} at {contract.rate_hz:g} Hz"
    )
    if not options.token:
        say("without a token: every process of this computer may ask")
    elif options.certificate is None and not is_loopback(options.host):
        say(
            "without TLS: who can read the network can read the token and the pictures (--certificate, --key)"
        )


def _context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(args.certificate, args.key)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"--certificate {args.certificate}, --key {args.key}: {error}") from error
    return context


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _serve(policy: AnyPolicy, options: ServingOptions) -> None:
    from il_ros.policies.remote.server import serve

    async def until_stopped() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        with stop_signals(lambda: loop.call_soon_threadsafe(stop.set)):
            await serve(policy, options, lambda text: say(text, flush=True), stop)

    asyncio.run(until_stopped())


def _refuse(why: object) -> int:
    say(f"il-ros serve: {why}", file=sys.stderr)
    return 2
