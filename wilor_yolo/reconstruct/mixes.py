"""Named mixes of data sets: which folders of shards, and with which weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..errors import HandError

__all__ = ["load_mix", "mix_names"]


def mix_names() -> list[str]:
    """The mixes that ship with the package."""
    folder = resources.files(__package__) / "cfg" / "mixes"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir())


def load_mix(source: str, root: str | Path | None = None) -> list[dict[str, Any]] | None:
    """The data groups of a mix, for `TrainConfig`'s `data`.

    Args:
        source: the name of a shipped mix, or a yaml file of the same layout.
        root: folder its paths are relative to; the current one by default.

    Returns:
        `path` and `weight` of each group; None when `source` is no mix (a folder of shards, say).

    Raises:
        HandError: the file is missing or has another layout.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise HandError(f"{path} does not exist; shipped mixes: {', '.join(mix_names())}.")
        text = path.read_text(encoding="utf-8")
    elif source in mix_names() and not path.exists():
        text = (resources.files(__package__) / "cfg" / "mixes" / f"{source}.yaml").read_text()
    else:
        return None
    try:
        groups = yaml.safe_load(text)["data"]
        return [
            {"path": str(Path(root or ".") / g["path"]), "weight": float(g["weight"])}
            for g in groups
        ]
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise HandError(
            f"{source} is no mix; it should hold data: [{{path: ..., weight: ...}}, ...]"
        ) from None
