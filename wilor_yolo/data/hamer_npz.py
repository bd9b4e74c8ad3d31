"""HaMeR's evaluation files (`freihand_val.npz`, `TEST_newdays_img_all.npz`, ...) -> `RawHand`.

Rows of arrays: `imgname` (relative to an image folder), `center` (N, 2) px, `scale` (N,) or (N, 2)
px of box side, `right`, `hand_pose` (N, 48), `has_hand_pose`, `betas`, `has_betas`,
`hand_keypoints_2d` (N, 21, 3), `hand_keypoints_3d` (N, 21, 4). What is missing is zero or, for
`right`, one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_files import NpzFile
from .hamer_filters import HamerFilters, hamer_hand
from .raw_hand import RawHand, ReadReport, sample_key

__all__ = ["read_hamer_npz"]


def read_hamer_npz(
    root: str | Path,
    report: ReadReport,
    images: str | Path | None = None,
    source: str | None = None,
    filters: HamerFilters | None = None,
) -> Iterator[RawHand]:
    """All hands of one file that pass the filters.

    Args:
        root: the `.npz` file.
        report: takes the broken samples.
        images: the folder `imgname` is relative to; beside the file by default.
        source: name of the set; the file's name by default.
        filters: HaMeR's by default.

    Raises:
        HandError: the file is missing, damaged, or lacks `imgname`, `center` or `scale`.
    """
    path = Path(root)
    arrays = NpzFile(path)
    names, centers = arrays.read("imgname"), np.asarray(arrays.read("center"))
    scales = np.asarray(arrays.read("scale"), np.float64).reshape(len(centers), -1)
    count = len(centers)

    def column(name: str, shape: tuple[int, ...], fill: float = 0.0) -> Any:
        return arrays.read(name) if name in arrays else np.full((count, *shape), fill)

    columns = {
        "keypoints_2d": column("hand_keypoints_2d", (21, 3)),
        "keypoints_3d": column("hand_keypoints_3d", (21, 4)),
        "hand_pose": column("hand_pose", (48,)),
        "has_hand_pose": column("has_hand_pose", ()),
        "betas": column("betas", (10,)),
        "has_betas": column("has_betas", ()),
        "right": column("right", (), 1.0),
        "center": centers,
    }
    folder = path.parent if images is None else Path(images)
    for i in range(count):
        hand = None
        key = sample_key(path.stem, i)
        with report.guard(f"{path}: sample {key}"):
            name = names[i].decode() if isinstance(names[i], bytes) else str(names[i])
            hand = hamer_hand(
                {field: values[i] for field, values in columns.items()},
                key,
                source or path.stem.lower(),
                path,
                folder / name,
                np.broadcast_to(scales[i], (2,)),
                filters or HamerFilters(),
            )
        if hand is not None:
            yield hand
