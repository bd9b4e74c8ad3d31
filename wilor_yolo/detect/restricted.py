"""Reading detector checkpoints without running code from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ultralytics.nn.tasks import torch_safe_load

from ..errors import WeightsError

__all__ = ["read_restricted"]


def read_restricted(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint that holds stock Ultralytics classes only.

    Raises:
        WeightsError: the file is missing, damaged, or names anything else.
    """
    if not Path(path).is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    try:
        return torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:  # damaged files fail in many ways, all of them mean the same here
        reason = str(error).strip().splitlines() or [repr(error)]
        raise WeightsError(
            f"{path} was refused ({reason[0]}). Checkpoints are read in restricted mode; if you "
            "trust this one set ULTRALYTICS_SAFE_LOAD=0"
        ) from error
