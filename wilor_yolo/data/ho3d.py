"""HO3D v2 and v3, and H2O3D (Hampali et al. 2020, 2022) -> `RawHand`.

Layout: `train/<sequence>/rgb/%04d.png` (v2) or `.jpg` (v3, H2O3D), `train/<sequence>/meta/%04d.pkl`
and `train.txt` with a line `<sequence>/<frame>` each. A meta file is a pickle of arrays: `camMat`,
`handJoints3D` (21, 3), `handPose` (48,), `handBeta` (10,), `handTrans` (3,); H2O3D has
`rightHand...` and `leftHand...` with one `handBeta`, and may say which joints are valid. Metres;
OpenGL axes (y up, z towards the viewer); MANO's joint order with the tips at the end; poses are
absolute (flat hand). Frames nobody annotated hold None.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_files import find_picture, read_pickle_file
from ..errors import HandError
from .joint_orders import HO3D_TO_OPENPOSE
from .mano_labels import ManoModels, mirror_pose, turn_pose
from .raw_hand import LeftOut, RawHand, ReadReport, sample_key

__all__ = ["from_opengl", "read_h2o3d", "read_ho3d"]

_OPENGL = np.diag([1.0, -1.0, -1.0])


def from_opengl(points: np.ndarray) -> np.ndarray:
    """OpenGL camera coordinates (..., 3) in ours, and back: y and z change sign."""
    return points * np.diag(_OPENGL)


def read_ho3d(
    root: str | Path, report: ReadReport, split: str = "train", models: ManoModels | None = None
) -> Iterator[RawHand]:
    """All annotated hands (right ones only) of the training split of HO3D v2 or v3.

    Args:
        root: the folder that holds `train` and `train.txt`.
        report: takes the broken samples.
        split: ``"train"``; the evaluation split has no labels to train on.
        models: MANO, to check the parameters against the joints.

    Raises:
        HandError: no such folder, or another split.
    """
    models = models or ManoModels()
    for sequence, frame, label in _frames(Path(root), split):
        hand = None
        with report.guard(str(label)):
            meta = _meta(label)
            hand = _hand(meta, "hand", True, "ho3d", label, sequence, frame, models, report)
        if hand is not None:
            yield hand


def read_h2o3d(
    root: str | Path, report: ReadReport, split: str = "train", models: ManoModels | None = None
) -> Iterator[RawHand]:
    """All annotated hands, both sides, of the training split of H2O3D; see :func:`read_ho3d`."""
    models = models or ManoModels()
    for sequence, frame, label in _frames(Path(root), split):
        for prefix, is_right in (("rightHand", True), ("leftHand", False)):
            hand = None
            with report.guard(f"{label} {prefix}"):
                meta = _meta(label)
                hand = _hand(
                    meta, prefix, is_right, "h2o3d", label, sequence, frame, models, report
                )
            if hand is not None:
                yield hand


def _frames(root: Path, split: str) -> Iterator[tuple[str, str, Path]]:
    if split != "train":
        raise HandError(f"split={split}: HO3D and H2O3D have labels for the train split only.")
    folder, listing = root / "train", root / "train.txt"
    if not folder.is_dir():
        raise HandError(f"{folder} is no folder; give the data set's folder as root=.")
    if listing.is_file():
        names = listing.read_text(encoding="utf-8").split()
    else:
        names = [f"{p.parts[-3]}/{p.stem}" for p in sorted(folder.glob("*/meta/*.pkl"))]
    for name in names:
        sequence, _, frame = name.partition("/")
        yield sequence, frame, folder / sequence / "meta" / f"{frame}.pkl"


def _meta(label: Path) -> dict[str, Any]:
    meta = read_pickle_file(label)
    if not isinstance(meta, dict):
        raise HandError(f"{label} holds a {type(meta).__name__} and no dictionary")
    return meta


def _hand(
    meta: dict[str, Any],
    prefix: str,
    is_right: bool,
    source: str,
    label: Path,
    sequence: str,
    frame: str,
    models: ManoModels,
    report: ReadReport,
) -> RawHand:
    theirs = meta[f"{prefix}Joints3D"]
    if theirs is None:
        raise LeftOut("frames nobody annotated")
    side = "Right" if is_right else "Left"
    for name in (f"jointValid{side}", f"poseValid{side}"):
        if meta.get(name) is not None and not np.all(meta[name]):
            raise LeftOut("hands with joints or angles marked as not valid")
    joints = from_opengl(np.asarray(theirs, np.float64).reshape(21, 3))[list(HO3D_TO_OPENPOSE)]
    betas = np.asarray(meta["handBeta"], np.float64).reshape(10)
    pose: np.ndarray | None = turn_pose(
        np.asarray(meta[f"{prefix}Pose"], np.float64).reshape(48), _OPENGL
    )
    assert pose is not None
    pose = models.checked(pose if is_right else mirror_pose(pose), betas, joints, is_right)
    if pose is None:
        report.left_out["parameters that do not fit their joints"] += 1
    return RawHand(
        key=sample_key(source, sequence, frame, side.lower()),
        source=source,
        label=label,
        picture=find_picture(label.parent.parent / "rgb" / frame),
        is_right=is_right,
        joints_3d=joints,
        intrinsics=np.asarray(meta["camMat"], np.float64).reshape(3, 3),
        pose=pose,
        betas=None if pose is None else betas,
        hands_shown=1 if prefix == "hand" else 2,
    )
