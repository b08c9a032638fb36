"""Where the package's launch files, configuration and models lie, in a checkout and once installed."""

from __future__ import annotations

from pathlib import Path


def path(*parts: str) -> Path:
    """Return the path of a shared file or folder, such as `path("config", "contracts", "push.yaml")`.

    In a checkout that is beside the package; pip and colcon put it in `share/il_ros` of the prefix that
    holds the package. Raises FileNotFoundError naming where it was looked for.
    """
    found = _root().joinpath(*parts)
    if not found.exists():
        raise FileNotFoundError(f"il_ros has no shared file {'/'.join(parts)!r}: looked for {found}")
    return found


def _root() -> Path:
    package = Path(__file__).resolve().parent.parent
    candidates = [package.parent, *(above / "share" / "il_ros" for above in package.parents)]
    for candidate in candidates:
        if (candidate / "package.xml").is_file() and (candidate / "config").is_dir():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"il_ros is installed without its share/il_ros folder: looked in {looked}")
