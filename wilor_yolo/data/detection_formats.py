"""Public data sets by name -> labelled pictures, as a detector trains on them or is measured on."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import HandError
from .egohands import read_egohands
from .formats import SetOptions, read_set
from .hand_pictures import pictures_of_hands
from .oxford_hands import read_oxford_hands
from .raw_hand import ReadReport
from .ultralytics_hands import read_ultralytics_hands
from .yolo_set import LabelledPicture

__all__ = ["DETECTION_FORMATS", "read_pictures"]

# Those that are read hand by hand, then those of whole pictures, which nothing else reads.
_HAND_FORMATS = ("freihand", "ho3d", "h2o3d", "interhand", "dexycb", "coco-wholebody", "halpe")
_PICTURE_FORMATS = {
    "oxford-hands": (read_oxford_hands, ("train", "val", "test")),
    "egohands": (read_egohands, ("train", "test")),
    "ultralytics-hands": (read_ultralytics_hands, ("train", "val")),
}
DETECTION_FORMATS = (*_HAND_FORMATS, *_PICTURE_FORMATS)


def read_pictures(options: SetOptions, report: ReadReport) -> Iterator[LabelledPicture]:
    """The pictures of a set; broken ones go to `report`.

    Raises:
        HandError: an unknown format or split, or nothing of the kind at `root`.
    """
    if options.format in _HAND_FORMATS:
        return pictures_of_hands(read_set(options, report), report)
    if options.format == "scenes":
        raise HandError(
            f"scenes are a detector's data set as they are: data={options.root}/scenes.yaml; "
            "to=reconstructor cuts the hands out."
        )
    if options.format not in _PICTURE_FORMATS:
        raise HandError(
            f"format={options.format} cannot be read as whole pictures; "
            f"use one of {', '.join(DETECTION_FORMATS)}."
        )
    read, splits = _PICTURE_FORMATS[options.format]
    if options.split not in splits:
        raise HandError(f"split={options.split}: {options.format} has {', '.join(splits)}.")
    return read(options.root, report, options.split)
