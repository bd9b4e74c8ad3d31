"""FreiHAND v2 (Zimmermann et al. 2019) -> `RawHand`.

Layout: `training/rgb/%08d.jpg`, four versions of the same 32,560 pictures one after the other
(green screen, and three composed ones), `training_{K,mano,xyz}.json` once for all versions. Joints
are metres in the camera frame, already in our order; all hands are right ones. `mano` is 48 pose
values relative to MANO's mean hand, 10 of shape, then 2 + 1 of a weak camera we do not need.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..dataset_files import read_json_file
from ..errors import HandError
from .mano_labels import ManoModels
from .raw_hand import RawHand, ReadReport, sample_key

__all__ = ["VERSIONS", "read_freihand"]

VERSIONS = ("gs", "hom", "sample", "auto")
_SIZE = (224, 224)


def read_freihand(
    root: str | Path,
    report: ReadReport,
    split: str = "train",
    models: ManoModels | None = None,
) -> Iterator[RawHand]:
    """All hands of a split, version after version.

    Args:
        root: the folder with `training_xyz.json` (for the test split `evaluation_xyz.json`).
        report: takes the broken samples.
        split: ``"train"``, or ``"test"`` (evaluation; joints only).
        models: MANO, to add the mean pose to the labelled ones; without it no parameters.

    Raises:
        HandError: a label file is missing or damaged, or the files differ in length.
    """
    root, models = Path(root), models or ManoModels()
    prefix = {"train": "training", "test": "evaluation"}[split]
    label = root / f"{prefix}_xyz.json"
    joints = read_json_file(label)
    cameras = read_json_file(root / f"{prefix}_K.json")
    wants_pose = split == "train" and models.right is not None
    poses = read_json_file(root / f"{prefix}_mano.json") if wants_pose else [None] * len(joints)
    if not len(joints) == len(cameras) == len(poses):
        raise HandError(
            f"{root}: {len(joints)} joints, {len(cameras)} cameras and {len(poses)} poses; "
            "the label files do not belong together."
        )
    pictures = root / prefix / "rgb"
    for number, version in enumerate(VERSIONS if split == "train" else VERSIONS[:1]):
        first = number * len(joints)
        if number and not (pictures / f"{first:08d}.jpg").is_file():
            report.left_out[f"pictures of version {version}, which is not there"] += len(joints)
            continue
        for i in range(len(joints)):
            hand = None
            key = sample_key("freihand", prefix, f"{first + i:08d}")
            with report.guard(f"{label}: sample {key}"):
                xyz = np.array(joints[i], np.float64).reshape(21, 3)
                pose, betas = _parameters(poses[i], xyz, models, report)
                hand = RawHand(
                    key=key,
                    source="freihand",
                    label=label,
                    picture=pictures / f"{first + i:08d}.jpg",
                    is_right=True,
                    joints_3d=xyz,
                    intrinsics=np.array(cameras[i], np.float64).reshape(3, 3),
                    pose=pose,
                    betas=betas,
                    size=_SIZE,
                )
            if hand is not None:
                yield hand


def _parameters(
    values: list | None, joints: np.ndarray, models: ManoModels, report: ReadReport
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if values is None:
        return None, None
    numbers = np.array(values, np.float64).reshape(61)
    pose = models.flat_pose(numbers[:48], True, components=False)
    if pose is not None:
        # The labelled wrist rotation is a few degrees off the joints (I2L-MeshNet issue 114).
        pose = models.checked(pose, numbers[48:58], joints, True, realign=True)
        if pose is None:
            report.left_out["parameters that do not fit their joints"] += 1
    return pose, None if pose is None else numbers[48:58]
