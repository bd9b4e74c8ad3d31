"""YAML files that hold keys and values: anybody's, or one of ours by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .errors import HandError, one_line
from .text_files import read_text

__all__ = ["find_yaml", "read_yaml", "shipped_names"]


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """The keys and values of a file; none of an empty one.

    Raises:
        HandError: it cannot be read, is no YAML, or holds something else; the message names it.
    """
    text = read_text(path)
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise HandError(f"{path} is no yaml file: {one_line(error)}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise HandError(f"{path} must hold keys and values, not {one_line(repr(data))}.")
    return data


def shipped_names(folder: Path) -> list[str]:
    """Names of the files in a folder of this package."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_yaml(source: str | Path, shipped: Path, what: str) -> Path:
    """The file meant by a path, or by the name of one that ships with us.

    Args:
        source: path of a file, or a bare name, with or without its ending.
        shipped: folder of this package.
        what: what it describes, for the message.

    Raises:
        HandError: there is neither.
    """
    path, names = Path(source), shipped_names(shipped)
    if path.is_file():
        return path
    name = str(source).removesuffix(".yaml")
    if name not in names:
        raise HandError(
            f"no {what} {str(source)!r}; give a yaml file or one of {', '.join(names)}."
        )
    return shipped / f"{name}.yaml"
