"""Location of the package's launch files, configuration and models, in a checkout or an installation."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree


def path(*parts: str) -> Path:
    """Return the path of a shared file or folder, such as `path("config", "contracts", "push.yaml")`.

    In a checkout it is next to the package; pip and colcon install it in `share/il_ros` of the prefix.
    Raises FileNotFoundError that names the searched paths.
    """
    found = _root().joinpath(*parts)
    if not found.exists():
        raise FileNotFoundError(f"il_ros has no shared file {'/'.join(parts)!r}: searched {found}")
    return found


def package_version() -> str:
    """Return the version of il_ros from package.xml."""
    return ElementTree.parse(path("package.xml")).findtext("version", "unknown")


def _root() -> Path:
    package = Path(__file__).resolve().parent.parent
    candidates = [package.parent, *(above / "share" / "il_ros" for above in package.parents)]
    for candidate in candidates:
        if (candidate / "package.xml").is_file() and (candidate / "config").is_dir():
            return candidate
    searched = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"il_ros is installed without its share/il_ros folder: searched {searched}")
