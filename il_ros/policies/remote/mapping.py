"""The file `remote.yaml`: where a policy of another process is, and how its words fit the contract.

docs/remote_policies.md explains every key. A folder with this file takes the place of a checkpoint.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core import files
from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import POSE
from il_ros.core.strict_yaml import MOST_CHARACTERS, Section, YamlError, parse
from il_ros.core.tables import counted

FILE = "remote.yaml"
FITS = ("stretch", "pad", "crop")
ENCODINGS = ("rgb8", "bgr8", "float", "jpeg", "png")
LAYOUTS = ("hwc", "chw")
MOST_HORIZON, MOST_COLUMNS, MOST_SIDE = 4096, 4096, 4096
MOST_TOKEN = 512
ROOM = 1 << 16
"""Bytes of an answer beside its actions: timing, version, other arrays of the server's own."""


class MappingError(ValueError):
    """A remote.yaml that cannot be used; the message names the file, the key, the value and the remedy."""


@dataclass(frozen=True)
class ServerAddress:
    """Where the server is. `token`: "" without one. `authority`: file of certificates for wss; None: the system's.

    `timeout_s`: longest wait for a connection and for an answer. `retry_s`: pause after the first failure to connect;
    it doubles up to eight times this. `most_bytes`: size of the largest message that is read.
    """

    url: str
    timeout_s: float = 2.0
    retry_s: float = 0.5
    token: str = ""
    authority: Path | None = None
    most_bytes: int = 1 << 20

    def __repr__(self) -> str:  # the token must not get into a log
        return f"ServerAddress({self.url})"


@dataclass(frozen=True)
class NumbersInput:
    """Numeric observations, joined: `scale` * number + `offset` of the `columns` of `keys`, as float64 (D,)."""

    keys: tuple[str, ...]
    columns: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class PictureInput:
    """A camera's picture: its size in pixels, and how it is brought to it, encoded and laid out.

    `float`: float32 from 0 to 1 in RGB order. `jpeg`, `png`: the bytes of a file.
    """

    key: str
    width: int
    height: int
    fit: str = "stretch"
    encoding: str = "rgb8"
    layout: str = "hwc"


@dataclass(frozen=True)
class TextInput:
    """A text: that of the observation `key`, or always `constant`."""

    key: str = ""
    constant: str = ""


@dataclass(frozen=True)
class Input:
    """One value of a request. `path`: its key, or the keys of nested mappings."""

    path: tuple[str, ...]
    source: NumbersInput | PictureInput | TextInput


@dataclass(frozen=True)
class ActionColumns:
    """Where the contract's A numbers are in an answer (H, `size`): command = `scale` * number + `offset`.

    `delta` (A,) bool: the number is a difference to the value measured at the observation.
    """

    key: str
    size: int
    columns: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    delta: tuple[bool, ...]


@dataclass(frozen=True)
class RemoteSpec:
    """The content of a remote.yaml. `horizon`: steps H of an answer. `history`: ticks T that it is shown.

    `version`: one word for this mapping and contract. `uncertainty`: key of the answer's uncertainty, "" without.
    """

    contract: Contract
    endpoint: ServerAddress
    horizon: int
    history: int
    inputs: tuple[Input, ...]
    actions: ActionColumns
    uncertainty: str
    version: str


def holds_remote(folder: Path) -> bool:
    """Return whether a folder says where a remote policy is."""
    return (folder / FILE).exists()


def read(folder: Path) -> RemoteSpec:
    """Return the content of `folder`/remote.yaml; raises MappingError."""
    file = folder / FILE
    try:
        text = files.read_text(file, 4 * MOST_CHARACTERS)
        top = parse(text, str(file))
        spec = _read(top, folder, text)
        top.done()
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{file}: cannot be read: {error}") from error
    except YamlError as error:
        raise MappingError(str(error)) from error
    return spec


def _read(top: Section, folder: Path, text: str) -> RemoteSpec:
    contract = _contract(top, folder)
    horizon, history = top.integer("horizon"), top.integer("history", 1)
    if horizon > MOST_HORIZON:
        raise top.error("horizon", f"{horizon} is above {MOST_HORIZON}")
    if history > 256:
        raise top.error("history", f"{history} is above 256")
    inputs = _inputs(top.section("observations", required=False), contract)
    columns = _actions(top.section("actions", required=False), contract)
    room = 8 * horizon * (columns.size + 1) + ROOM
    endpoint = _endpoint(top, folder, room)
    digest = hashlib.sha256(f"{text}\n{contract.hash}".encode()).hexdigest()[:8]
    uncertainty = top.text("uncertainty", "uncertainty")
    return RemoteSpec(contract, endpoint, horizon, history, inputs, columns, uncertainty, f"remote-{digest}")


def _contract(top: Section, folder: Path) -> Contract:
    """Return the contract: a file (beside remote.yaml, unless its path is absolute), or a shipped name."""
    name = top.text("contract")
    try:
        return contracts.find(str(folder / name) if Path(name).suffix else name)
    except ContractError as error:
        raise top.error("contract", str(error)) from error


def _endpoint(top: Section, folder: Path, most_bytes: int) -> ServerAddress:
    url = top.text("url")
    host, secure = _host(top, url)
    token_file, authority = top.text("token_file", ""), top.text("ca_file", "")
    timeout_s, retry_s = top.number("timeout_s", 2.0), top.number("retry_s", 0.5)
    for name, value in (("timeout_s", timeout_s), ("retry_s", retry_s)):
        if value > 600:
            raise top.error(name, f"{value:g} s is above 600 s")
    try:
        token = read_token(folder / token_file) if token_file else ""
    except ValueError as error:
        raise top.error("token_file", str(error)) from error
    if authority and not secure:
        raise top.error("ca_file", "is for wss:// only; the url begins with ws://")
    if authority and not (folder / authority).is_file():
        raise top.error("ca_file", f"{folder / authority}: there is no such file")
    plain = top.flag("token_in_clear", False)
    if token and not secure and not plain and not is_loopback(host):
        raise top.error(
            "token_file",
            f"the token would pass the network to {host} in clear; use wss://, a tunnel to localhost, or "
            "token_in_clear: true on a network that nobody else can read",
        )
    return ServerAddress(
        url, timeout_s, retry_s, token, folder / authority if authority else None, most_bytes
    )


def _host(top: Section, url: str) -> tuple[str, bool]:
    """Return the host of the url, and whether it is wss."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise top.error("url", f"'{url}' is no address: {error}") from error
    if parts.scheme not in ("ws", "wss") or not host:
        raise top.error("url", f"'{url}' must be ws://HOST:PORT or wss://HOST:PORT")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise top.error("url", "must have no user, query or fragment; a token belongs into token_file")
    return host, parts.scheme == "wss"


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """Return the token in a file that only its owner may read: one line of printable ASCII characters.

    Raises ValueError, whose text does not contain the token.
    """
    try:
        mode = os.stat(file).st_mode
        text = files.read_bytes(file, MOST_TOKEN).strip()
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"{file}: others may read it (mode {stat.S_IMODE(mode):o}); type: chmod 600 {file}")
    if len(text) < 16 or not all(33 <= byte < 127 for byte in text):
        raise ValueError(
            f"{file}: a token is one word of at least 16 printable ASCII characters (`openssl rand -hex 32` makes one)"
        )
    return text.decode("ascii")


def _inputs(section: Section | None, contract: Contract) -> tuple[Input, ...]:
    if section is None:
        return tuple(Input((spec.key,), _whole(contract, spec.key)) for spec in contract.observations)
    found = []
    for key in section.keys:
        part = section.section(key)
        assert part is not None
        path = part.texts("path", required=False) or (key,)
        found.append(Input(path, _input(part, contract)))
        part.done()
    if not found:
        raise section.error("observations", "is empty; leave it out to send every observation under its key")
    _refuse_equal_paths(section, found)
    return tuple(found)


def _refuse_equal_paths(section: Section, found: list[Input]) -> None:
    for place, one in enumerate(found):
        for other in found[:place]:
            shorter = min(len(one.path), len(other.path))
            if one.path[:shorter] == other.path[:shorter]:
                raise section.error(section.keys[place], f"{'/'.join(one.path)} is given twice")


def _whole(contract: Contract, key: str) -> NumbersInput | PictureInput | TextInput:
    """Return an observation as it is."""
    spec = contract.observation(key)
    if spec.image is not None:
        return PictureInput(key, spec.image.width, spec.image.height)
    if spec.kind == "text":
        return TextInput(key)
    return NumbersInput((key,), tuple(range(spec.size)), (1.0,) * spec.size, (0.0,) * spec.size)


def _input(part: Section, contract: Contract) -> NumbersInput | PictureInput | TextInput:
    if "text" in part:
        return TextInput(constant=part.text("text"))
    keys = part.texts("from")
    known = {spec.key: spec for spec in contract.observations}
    for key in keys:
        if key not in known:
            raise part.error(
                "from",
                f"contract '{contract.name}' has no observation '{key}'; there are: {', '.join(known)}",
            )
    kinds = {known[key].kind for key in keys}
    if kinds == {"numeric"}:
        size = sum(known[key].size for key in keys)
        columns = part.indices("columns", size) or tuple(range(size))
        scale = part.numbers("scale", len(columns), positive=False) or (1.0,) * len(columns)
        offset = part.numbers("offset", len(columns), positive=False) or (0.0,) * len(columns)
        _require_finite(part, scale, offset)
        return NumbersInput(keys, columns, scale, offset)
    if len(keys) > 1:
        raise part.error("from", "a camera or a text is sent alone; only numeric observations are joined")
    whole = _whole(contract, keys[0])
    return _picture(part, contract, whole) if isinstance(whole, PictureInput) else whole


def _picture(part: Section, contract: Contract, whole: PictureInput) -> PictureInput:
    width, height = part.integer("width", whole.width), part.integer("height", whole.height)
    for name, side in (("width", width), ("height", height)):
        if side > MOST_SIDE:
            raise part.error(name, f"{side} is above {MOST_SIDE} pixels")
    encoding = part.text("encoding", "rgb8", ENCODINGS)
    layout = part.text("layout", "hwc", LAYOUTS)
    if layout == "chw" and encoding in ("jpeg", "png"):
        raise part.error("layout", f"a {encoding} has no layout; leave it out")
    image = contract.observation(whole.key).image
    assert image is not None
    if image.encoding == "depth" and encoding not in ("rgb8", "float"):
        raise part.error("encoding", "depth is sent as float32 metres; leave the encoding out")
    return PictureInput(whole.key, width, height, part.text("fit", "stretch", FITS), encoding, layout)


def _actions(section: Section | None, contract: Contract) -> ActionColumns:
    count = contract.action_size
    nothing = (False,) * count
    if section is None:
        return ActionColumns("actions", count, tuple(range(count)), (1.0,) * count, (0.0,) * count, nothing)
    size = section.integer("size", count)
    if size > MOST_COLUMNS:
        raise section.error("size", f"{size} is above {MOST_COLUMNS}")
    columns = section.indices("columns", size)
    if columns is None and size != count:
        raise section.error(
            "columns",
            f"is needed: an answer has {counted(size, 'column')}, the contract {counted(count, 'number')}",
        )
    if columns is not None and len(columns) != count:
        names = ", ".join(contract.action_names)
        raise section.error(
            "columns", f"has {counted(len(columns), 'number')}; {count} are needed, one for each of: {names}"
        )
    scale = section.numbers("scale", count, positive=False) or (1.0,) * count
    offset = section.numbers("offset", count, positive=False) or (0.0,) * count
    _require_finite(section, scale, offset)
    delta = _delta(section, contract)
    key = section.text("key", "actions")
    section.done()
    return ActionColumns(key, size, columns or tuple(range(count)), scale, offset, delta)


def _delta(section: Section, contract: Contract) -> tuple[bool, ...]:
    keys = section.texts("delta", required=False)
    for key in keys:
        action = next((each for each in contract.actions if each.key == key), None)
        if action is None:
            known = ", ".join(each.key for each in contract.actions)
            raise section.error(
                "delta", f"contract '{contract.name}' has no action '{key}'; there are: {known}"
            )
        if action.reference is None or action.type == POSE or not action.is_position:
            raise section.error("delta", f"'{key}' is no position of joints that an observation measures")
    return tuple(bool(each.key in keys) for each in contract.actions for _ in range(each.size))


def _require_finite(section: Section, *values: tuple[float, ...]) -> None:
    for name, numbers in zip(("scale", "offset"), values, strict=True):
        if not np.isfinite(numbers).all():
            raise section.error(name, "must be finite numbers")
