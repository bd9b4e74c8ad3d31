"""Files that `torch.save` wrote and that hold plain data only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError, one_line

__all__ = ["read_plain"]


def read_plain(path: Path, what: str) -> Any:
    """What is in a file, on the CPU; nothing in it can run code.

    Args:
        path: the file.
        what: it should be, for the message: "a training checkpoint".

    Raises:
        WeightsError: it is missing, damaged, or holds more than plain data.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give the path of {what}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything at all
        reason = one_line(error)
        raise WeightsError(
            f"{path} cannot be read as {what} ({reason}); give another file, or delete it."
        ) from error
