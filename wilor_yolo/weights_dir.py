"""Where the files that ship with the package lie.

In a clone they are in the top folder `weights/`; a wheel carries the same folder inside the
package. Both are looked up here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .errors import WeightsError

__all__ = ["or_shipped", "or_shipped_dataset", "shipped", "shipped_dataset", "weights_dir"]

DETECTOR = "hand-n.pt"
RECONSTRUCTOR = "reconstructor-s.safetensors"
FREE_HAND = "free_hand/hand_right.npz"


def weights_dir() -> Path:
    """The folder of shipped weights.

    Raises:
        WeightsError: the installation carries no weights.
    """
    return _package_folder("weights")


def shipped(name: str) -> Path:
    """Path of one shipped file, for example ``shipped("hand-n.pt")``.

    Raises:
        WeightsError: the file is not part of this installation.
    """
    path = weights_dir() / name
    if not path.is_file():
        have = sorted(p.relative_to(weights_dir()).as_posix() for p in weights_dir().rglob("*.*"))
        raise WeightsError(
            f"{path} is missing; this installation has {', '.join(have) or 'no weight files'}. "
            "Reinstall wilor_yolo or give the path of your own file."
        )
    return path


def or_shipped(path: str | Path) -> Path:
    """The path, or the shipped file where it is the bare name of one and no file of one's own."""
    return _or_found(Path(path), shipped)


def or_shipped_dataset(path: str | Path) -> Path:
    """As :func:`or_shipped`, of a data YAML."""
    return _or_found(Path(path), shipped_dataset)


def shipped_dataset(name: str) -> Path:
    """Path of a data YAML of the top folder `datasets/`.

    Raises:
        WeightsError: no such file in this installation.
    """
    path = _package_folder("datasets") / name
    if not path.is_file():
        raise WeightsError(f"{path} is missing; reinstall wilor_yolo or give your own data YAML.")
    return path


def _or_found(path: Path, find: Callable[[str], Path]) -> Path:
    if path.exists() or path.name != str(path):
        return path
    try:
        return find(path.name)
    except WeightsError:
        return path


def _package_folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir() and not (folder / "__init__.py").exists():
            return folder
    raise WeightsError(f"this installation has no {name} folder; reinstall wilor_yolo.")
