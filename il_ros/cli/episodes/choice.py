"""Resolves episodes and contracts from command-line arguments, which `il_ros.cli.options` declares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.catalogue import Entry, look, scan
from il_ros.episodes.foreign_types import find_beside
from il_ros.episodes.layout import INFO_FILE, LayoutError, episode_name


def folder_of(word: str, root: Path) -> Path:
    """Return the folder of an episode given by path or number.

    Raises FileNotFoundError naming the path.
    """
    path = Path(word)
    if word.isdigit() and not path.exists():
        path = root / episode_name(int(word))
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such episode")
    return path.resolve()


def one_folder(word: str, root: Path) -> Path:
    """Return the folder of an episode as `folder_of`; raises LayoutError for a folder that holds episodes."""
    folder = folder_of(word, root)
    if folder.is_dir() and not _is_episode(folder):
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and _is_episode(path))
        if inner:
            raise LayoutError(f"{word}: holds episodes; name one of them, such as {inner[0]}")
    return folder


def entry_of(word: str, root: Path) -> Entry:
    """Return the episode given by path or number; raises as `one_folder`."""
    return look(one_folder(word, root))


def _is_episode(path: Path) -> bool:
    return bool(bag_files(path)) or (path / INFO_FILE).exists()


def entries_of(words: Sequence[str], root: Path) -> list[Entry]:
    """Return the episodes given by `words`: folders of episodes, episodes, or by default all under `root`.

    An episode that is given twice counts once.
    """
    found: list[Entry] = []
    for word in words or [str(root)]:
        path = root if not words else folder_of(word, root)
        if path.exists() and _is_episode(path):
            found.append(look(path))
        else:
            found += scan(path).entries
    return list({entry.folder: entry for entry in found}.values())


def some_entries_of(words: Sequence[str], root: Path) -> list[Entry]:
    """As `entries_of`; raises LayoutError, naming what was given, when there are none."""
    found = entries_of(words, root)
    if not found:
        raise LayoutError(f"{', '.join(words) or root}: no episodes")
    return found


def contract_for(entry: Entry, name: str) -> Contract:
    """Return the contract for an episode: that of a file or a packaged name, or, when "", the recorded one.

    Raises ContractError when it can't be read or does not exist.
    """
    if name:
        return find_beside(name, lambda: [entry.folder])
    if entry.info is None and not entry.usable:
        raise ContractError(entry.reason)
    if entry.info is None or not entry.info.contract_text:
        raise ContractError(
            f"{entry.folder}: it was recorded without a contract; give one with --contract FILE"
        )
    return contracts.parse(entry.info.contract_text, f"{entry.folder} (its contract)")
