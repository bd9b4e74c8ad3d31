"""Named mixes of data sets: which folders of shards, and with which weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import HandError
from ..yaml_files import find_yaml, read_yaml, shipped_names

__all__ = ["load_mix", "mix_names"]

_SHIPPED = Path(__file__).parent / "cfg" / "mixes"


def mix_names() -> list[str]:
    """The mixes that ship with the package."""
    return shipped_names(_SHIPPED)


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
    named = source in mix_names() and not path.exists()
    if not named and path.suffix not in (".yaml", ".yml"):
        return None
    content = read_yaml(find_yaml(source, _SHIPPED, "mix"))
    try:
        return [
            {"path": str(Path(root or ".") / g["path"]), "weight": float(g["weight"])}
            for g in content["data"]
        ]
    except (KeyError, TypeError, ValueError):
        raise HandError(
            f"{source} is no mix; it should hold data: [{{path: ..., weight: ...}}, ...]"
        ) from None
