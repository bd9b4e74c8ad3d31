"""The FreiHAND protocol (Zimmermann et al. 2019): 3,960 pictures of right hands.

Truth: `evaluation_xyz.json`, `evaluation_verts.json` and `evaluation_K.json` of the download;
metres, our joint order and axes. Its ring and little finger tips are the MANO vertices next to ours
(555 and 672, not 554 and 671): even a perfect mesh misses these two joints by an edge's length.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset_files import read_json_file
from ..errors import HandError
from ..geometry import project
from ..records import keypoint_box
from .challenge_files import read_points
from .frames import EvaluationFrame, EvaluationTruth

__all__ = ["SCALE_BONE", "read_freihand_frames", "read_freihand_truth"]

SCALE_BONE = (0, 9)  # wrist, middle knuckle


def read_freihand_truth(root: str | Path) -> EvaluationTruth:
    """The public truth of the evaluation set.

    Raises:
        HandError: a file is missing or damaged, or they differ in length.
    """
    root = Path(root)
    joints = read_points(root / "evaluation_xyz.json")
    vertices = read_points(root / "evaluation_verts.json")
    if len(joints) != len(vertices):
        raise HandError(f"{root}: {len(joints)} joints for {len(vertices)} meshes.")
    return EvaluationTruth(joints, vertices)


def read_freihand_frames(root: str | Path, truth: EvaluationTruth) -> list[EvaluationFrame]:
    """The pictures, each with the box of its projected true joints.

    The set gives no boxes; methods the paper compares with use boxes from the truth too.

    Raises:
        HandError: the cameras are missing or of another number.
    """
    root = Path(root)
    try:
        cameras = np.array(read_json_file(root / "evaluation_K.json"), np.float64)
    except (TypeError, ValueError):
        cameras = np.zeros(0)
    if cameras.shape != (len(truth.joints), 3, 3):
        raise HandError(
            f"{root / 'evaluation_K.json'}: {cameras.shape} for {len(truth.joints)} hands."
        )
    folder = root / "evaluation" / "rgb"
    return [
        EvaluationFrame(
            picture=folder / f"{i:08d}.jpg",
            box=keypoint_box(project(joints, camera)),
            intrinsics=camera,
        )
        for i, (joints, camera) in enumerate(zip(truth.joints, cameras, strict=True))
    ]
