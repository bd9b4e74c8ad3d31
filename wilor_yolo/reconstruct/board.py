"""The log for TensorBoard, beside the CSV files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Board"]


class Board:
    """Writes numbers and pictures into `folder`; does nothing when switched off.

    Attributes:
        missing: whether it is switched off for want of the package.
    """

    def __init__(self, folder: Path, wanted: bool, first_step: int = 0) -> None:
        """Open.

        Args:
            folder: of the event files.
            wanted: False: write nothing.
            first_step: what an earlier session logged from here on is hidden.
        """
        self._writer: Any = None
        self.missing = False
        if not wanted:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.missing = True
            return
        purge = first_step + 1 if first_step else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)  # type: ignore[no-untyped-call]

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Curves `group`/name."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
            self._writer.flush()

    def picture(self, name: str, image_bgr: np.ndarray, step: int) -> None:
        """A picture (H, W, 3) uint8 BGR."""
        if self._writer is not None:
            rgb = np.ascontiguousarray(image_bgr[..., ::-1])
            self._writer.add_image(name, rgb, step, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
