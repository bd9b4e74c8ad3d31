"""DexYCB (Chao et al. 2021) -> `RawHand`.

Layout: `<subject>/<session>/meta.yml`, `<subject>/<session>/<serial>/color_%06d.jpg` and
`labels_%06d.npz` (`joint_3d` (1, 21, 3) metres in the camera, `joint_2d` (1, 21, 2) px, `pose_m`
(1, 51): wrist, 45 principal components, translation), `calibration/intrinsics/<serial>_640x480.yml`
and `calibration/mano_<id>/mano.yml` (shape). Joints are in our order; -1 everywhere means no hand.
The side stands in the session's meta file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_files import NpzFile
from ..errors import HandError
from ..yaml_files import read_yaml
from .mano_labels import ManoModels, mirror_pose
from .raw_hand import LeftOut, RawHand, ReadReport, sample_key

__all__ = ["read_dexycb"]

_SIZE = (640, 480)
# Setup s0 of the authors' toolkit: every fifth session of a subject is held out; those of the
# first two subjects validate, the others test.
_HELD_OUT, _VAL_SUBJECTS = 5, 2


def read_dexycb(
    root: str | Path, report: ReadReport, split: str = "train", models: ManoModels | None = None
) -> Iterator[RawHand]:
    """All hands of a split of setup s0.

    Args:
        root: the folder of the subjects and of `calibration`.
        report: takes the broken samples.
        split: ``"train"``, ``"val"`` or ``"test"``.
        models: MANO of both sides, to read the poses; sides without a model get joints only.

    Raises:
        HandError: no sessions there.
    """
    root, models = Path(root), models or ManoModels()
    sessions = [path.parent for path in sorted(root.glob("*/*/meta.yml"))]
    if not sessions:
        raise HandError(f"{root} holds no <subject>/<session>/meta.yml; check root=.")
    subjects = sorted({session.parent for session in sessions})
    for subject_number, subject in enumerate(subjects):
        own = [session for session in sessions if session.parent == subject]
        for number, session in enumerate(own):
            held_out = number % _HELD_OUT == _HELD_OUT - 1
            held_name = "val" if subject_number < _VAL_SUBJECTS else "test"
            if split == (held_name if held_out else "train"):
                yield from _session(root, session, models, report)


def _session(
    root: Path, session: Path, models: ManoModels, report: ReadReport
) -> Iterator[RawHand]:
    meta: dict[str, Any] = {}
    with report.guard(str(session / "meta.yml")):
        data = _yaml(session / "meta.yml")
        side, person = data["mano_sides"][0], data["mano_calib"][0]
        if side not in ("left", "right"):
            raise HandError(f"mano_sides {side!r} is neither left nor right")
        shape = _yaml(root / "calibration" / f"mano_{person}" / "mano.yml")["betas"]
        meta = {"is_right": side == "right", "betas": np.array(shape, np.float64).reshape(10)}
    if not meta:
        return
    for label in sorted(session.glob("*/labels_*.npz")):
        hand = None
        with report.guard(str(label)):
            hand = _hand(root, label, models, report, **meta)
        if hand is not None:
            yield hand


def _hand(
    root: Path,
    label: Path,
    models: ManoModels,
    report: ReadReport,
    is_right: bool,
    betas: np.ndarray,
) -> RawHand:
    arrays = NpzFile(label)
    joints = np.asarray(arrays.read("joint_3d"), np.float64).reshape(21, 3)
    if (joints == -1).all():
        raise LeftOut("frames without a hand")
    keypoints = np.ones((21, 3))
    keypoints[:, :2] = np.asarray(arrays.read("joint_2d"), np.float64).reshape(21, 2)
    serial, frame = label.parent.name, label.stem.removeprefix("labels_")
    pose = np.asarray(arrays.read("pose_m"), np.float64).reshape(51)[:48]
    flat = models.flat_pose(pose, is_right, components=True)
    if flat is not None:
        flat = models.checked(flat if is_right else mirror_pose(flat), betas, joints, is_right)
        if flat is None:
            report.left_out["parameters that do not fit their joints"] += 1
    session = label.parent.parent
    return RawHand(
        key=sample_key("dexycb", session.parent.name, session.name, serial, frame),
        source="dexycb",
        label=label,
        picture=label.parent / f"color_{frame}.jpg",
        is_right=is_right,
        keypoints_2d=keypoints,
        joints_3d=joints,
        intrinsics=_intrinsics(root / "calibration" / "intrinsics" / f"{serial}_640x480.yml"),
        pose=flat,
        betas=None if flat is None else betas,
        size=_SIZE,
    )


@functools.lru_cache(maxsize=64)
def _intrinsics(path: Path) -> np.ndarray:
    color = _yaml(path)["color"]
    return np.array(
        [[color["fx"], 0, color["ppx"]], [0, color["fy"], color["ppy"]], [0, 0, 1]], np.float64
    )


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise HandError(f"{path} does not exist; is the download complete?")
    return read_yaml(path)
