"""EgoHands (Bambach et al. 2015) -> labelled pictures: boxes of polygons, sides by slot.

Layout, from public scripts that read it (unverified, no file of it was seen):
`_LABELLED_SAMPLES/<video>/frame_%04d.jpg` and one `polygons.mat` a video with `polygons`, an array
of structs, one a frame in the order of the file names, with the outlines (N, 2) x, y px of
`myleft`, `myright`, `yourleft` and `yourright`; empty where that hand is not seen. Left and right
are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..skeleton import LEFT, RIGHT
from .mat_files import read_mat
from .raw_hand import ReadReport, sample_key
from .yolo_labels import HandLabel
from .yolo_set import LabelledPicture

__all__ = ["read_egohands"]

_SLOTS = {"myleft": LEFT, "myright": RIGHT, "yourleft": LEFT, "yourright": RIGHT}
_LEAST_CORNERS = 3
_HELD_OUT = 6  # every sixth video of the sorted list is our test part: 8 of 48


def read_egohands(
    root: str | Path, report: ReadReport, split: str = "train"
) -> Iterator[LabelledPicture]:
    """All pictures of a split by whole videos (ours; the authors' was not seen).

    Args:
        root: the folder that holds `_LABELLED_SAMPLES`, or that folder.
        report: takes the broken videos and pictures.
        split: ``"train"`` or ``"test"``.

    Raises:
        HandError: no videos there.
    """
    folder = Path(root) / "_LABELLED_SAMPLES"
    folder = folder if folder.is_dir() else Path(root)
    videos = [path.parent for path in sorted(folder.glob("*/polygons.mat"))]
    if not videos:
        raise HandError(f"{folder} holds no <video>/polygons.mat; check root=.")
    for number, video in enumerate(videos):
        held_out = number % _HELD_OUT == _HELD_OUT - 1
        if (split == "test") != held_out:
            continue
        pairs: list[tuple[Path, object]] = []
        with report.guard(str(video / "polygons.mat")):
            frames = sorted(video.glob("frame_*.jpg"))
            outlines = read_mat(video / "polygons.mat", "polygons")
            if len(outlines) != len(frames):
                raise HandError(f"{len(outlines)} outlines for {len(frames)} pictures")
            pairs = list(zip(frames, outlines, strict=True))
        for frame, struct in pairs:
            picture = None
            with report.guard(str(frame)):
                picture = LabelledPicture(
                    frame,
                    sample_key("egohands", video.name, frame.stem),
                    "egohands",
                    _labels(struct),
                )
            if picture is not None:
                yield picture


def _labels(struct: object) -> tuple[HandLabel, ...]:
    labels = []
    for name, side in _SLOTS.items():
        outline = np.asarray(getattr(struct, name), np.float64)
        if outline.size == 0:
            continue
        outline = outline.reshape(-1, 2)
        if len(outline) < _LEAST_CORNERS or not np.isfinite(outline).all():
            raise HandError(f"the outline of {name} is no polygon")
        labels.append(HandLabel(np.concatenate((outline.min(0), outline.max(0))), side))
    return tuple(labels)
