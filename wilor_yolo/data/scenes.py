"""Scenes of `wilor-yolo synth scenes` -> `RawHand`.

The detector learns from the pictures and their label files as they are; this is for the
reconstructor: small hands, hands behind things and hands among people, with true joints. There are
no hand parameters: the people of the scenes have hands of their own, whose joints lie where those
of the free hand do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..dataset_files import read_json_file
from ..errors import HandError
from .raw_hand import LeftOut, RawHand, ReadReport, sample_key

__all__ = ["read_scenes"]

LEAST_VISIBLE = 0.4  # of hands that show less, nobody could tell the pose


def read_scenes(root: str | Path, report: ReadReport) -> Iterator[RawHand]:
    """All hands of a folder of scenes, picture after picture.

    Args:
        root: the folder with `images` and `truth`.
        report: takes the broken samples.

    Raises:
        HandError: no truth files in the folder.
    """
    root = Path(root)
    files = sorted((root / "truth").glob("*.json"))
    if not files:
        raise HandError(
            f"{root / 'truth'} holds no scenes; make them with wilor-yolo synth scenes out={root}."
        )
    for label in files:
        hands: list = []
        with report.guard(str(label)):
            truth = read_json_file(label)
            intrinsics = np.array(truth["K"], np.float64).reshape(3, 3)
            hands = list(truth["hands"])
        for number, hand in enumerate(hands):
            raw = None
            key = sample_key("scenes", label.stem, number)
            with report.guard(f"{label}: sample {key}"):
                if hand["visible"] < LEAST_VISIBLE:
                    raise LeftOut("hands mostly hidden")
                joints = np.array(hand["keypoints_3d"], np.float64).reshape(21, 3)
                if (joints[:, 2] <= 0).any():
                    raise LeftOut("hands that reach behind the camera")
                raw = RawHand(
                    key=key,
                    source="scenes",
                    label=label,
                    picture=root / "images" / f"{label.stem}.jpg",
                    is_right=bool(hand["is_right"]),
                    joints_3d=joints,
                    intrinsics=intrinsics,
                    box=np.array(hand["bbox_xyxy"], np.float64).reshape(4),
                )
            if raw is not None:
                yield raw
