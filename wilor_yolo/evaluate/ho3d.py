"""The HO3D protocol, versions 2 and 3 (Hampali et al. 2020): right hands that hold things.

`evaluation.txt` lists `<sequence>/<frame>`; the meta file of a frame gives camera and hand box.
Truth (public since November 2024): `evaluation_xyz.json` and `evaluation_verts.json`, beside it.
Joints lie in MANO's order with the tips at the end; axes are OpenGL's: y up, z backwards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset_files import find_picture, read_pickle_file
from ..errors import HandError
from ..skeleton import MANO_TO_OPENPOSE
from .challenge_files import read_points
from .frames import EvaluationFrame, EvaluationTruth

__all__ = ["FRAMES", "SCALE_BONE", "read_ho3d_frames", "read_ho3d_truth", "to_ho3d_axes"]

FRAMES = {"v2": 11_524, "v3": 20_137}
SCALE_BONE = (0, 4)  # wrist and middle knuckle, in their order
OPENPOSE_TO_HO3D = tuple(MANO_TO_OPENPOSE.index(i) for i in range(21))
_AXES = np.array([1.0, -1.0, -1.0])


def to_ho3d_axes(joints: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 21, 3) and vertices (N, V, 3) in our order and axes as HO3D wants them."""
    return joints[:, list(OPENPOSE_TO_HO3D)] * _AXES, vertices * _AXES


def read_ho3d_truth(root: str | Path) -> EvaluationTruth | None:
    """The public truth, in HO3D's order and axes; None if it is not there.

    Raises:
        HandError: a file is damaged, or they differ in length.
    """
    root = Path(root)
    files = root / "evaluation_xyz.json", root / "evaluation_verts.json"
    if not all(path.is_file() for path in files):
        return None
    joints, vertices = (read_points(path) for path in files)
    if len(joints) != len(vertices):
        raise HandError(f"{root}: {len(joints)} joints for {len(vertices)} meshes.")
    if (joints[..., 2] > 0).all():
        raise HandError(f"{files[0]}: all z are positive; HO3D's axes are OpenGL's.")
    return EvaluationTruth(joints, vertices)


def read_ho3d_frames(root: str | Path) -> list[EvaluationFrame]:
    """The frames of `evaluation.txt` with their boxes and cameras.

    Raises:
        HandError: a file is missing, or a meta file lacks box or camera; the message names it.
    """
    root = Path(root)
    listing = root / "evaluation.txt"
    if not listing.is_file():
        raise HandError(f"{listing} does not exist; give the data set's folder as root=.")
    frames = []
    for name in listing.read_text(encoding="utf-8").split():
        sequence, _, frame = name.partition("/")
        folder = root / "evaluation" / sequence
        path = folder / "meta" / f"{frame}.pkl"
        meta = read_pickle_file(path)
        if not isinstance(meta, dict) or meta.get("handBoundingBox") is None:
            raise HandError(f"{path} has no handBoundingBox; is it of the evaluation split?")
        if meta.get("camMat") is None:
            raise HandError(f"{path} has no camMat.")
        try:
            box = np.asarray(meta["handBoundingBox"], np.float64).reshape(4)
            intrinsics = np.asarray(meta["camMat"], np.float64).reshape(3, 3)
        except (TypeError, ValueError):
            raise HandError(f"{path}: handBoundingBox or camMat has another shape.") from None
        picture = find_picture(folder / "rgb" / frame)
        frames.append(EvaluationFrame(picture, box, intrinsics=intrinsics))
    return frames
