"""Oxford Hands (Mittal et al. 2011) -> labelled pictures: boxes only, sides unknown.

Layout, from public scripts that read it (unverified, no file of it was seen):
`{training,validation,test}_dataset/{training,validation,test}_data/{images,annotations}`, and
`annotations/<picture>.mat` with `boxes`, a cell array of structs whose `a`, `b`, `c`, `d` are the
corners (y, x) of a turned rectangle. The upright rectangle around it is the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..dataset_files import find_picture
from ..detect.sides import UNKNOWN_SIDE
from ..errors import HandError
from .mat_files import read_mat
from .raw_hand import ReadReport, sample_key
from .yolo_labels import HandLabel
from .yolo_set import LabelledPicture

__all__ = ["read_oxford_hands"]

_NAMES = {"train": "training", "val": "validation", "test": "test"}
_CORNERS = ("a", "b", "c", "d")


def read_oxford_hands(
    root: str | Path, report: ReadReport, split: str = "train"
) -> Iterator[LabelledPicture]:
    """All pictures of a split.

    Args:
        root: the folder that holds `training_dataset`, `validation_dataset`, `test_dataset`.
        report: takes the broken pictures.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        HandError: no such folder.
    """
    name = _NAMES[split]
    places = [Path(root) / f"{name}_dataset" / f"{name}_data", Path(root) / f"{name}_dataset"]
    folder = next((place for place in places if (place / "annotations").is_dir()), None)
    if folder is None:
        raise HandError(f"{places[0] / 'annotations'} is no folder; check root= and split=.")
    for file in sorted((folder / "annotations").glob("*.mat")):
        picture = None
        with report.guard(str(file)):
            labels = tuple(_label(struct) for struct in read_mat(file, "boxes"))
            picture = LabelledPicture(
                find_picture(folder / "images" / file.stem),
                sample_key("oxford", split, file.stem),
                "oxford_hands",
                labels,
            )
        if picture is not None:
            yield picture


def _label(struct: object) -> HandLabel:
    corners = np.array([getattr(struct, name) for name in _CORNERS], np.float64).reshape(4, 2)
    if not np.isfinite(corners).all():
        raise HandError("a box holds NaN or infinity")
    x, y = corners[:, 1], corners[:, 0]
    return HandLabel(np.array([x.min(), y.min(), x.max(), y.max()]), UNKNOWN_SIDE)
