"""InterHand2.6M (Moon et al. 2020) -> `RawHand`.

Layout: `annotations/<split>/InterHand2.6M_<split>_{data,camera,joint_3d}.json`, optionally
`..._MANO_NeuralAnnot.json`, and `images/<split>/Capture<c>/<sequence>/cam<id>/image<frame>.jpg`.
Joints are millimetres in the world; a camera sees R (X - C) with C (`campos`) in millimetres. 42
joints: right hand, then left, each thumb to little finger from tip to palm, the wrist last. A hand
whose wrist is not valid has no valid joint. MANO poses are relative to the mean hand, in the
world's axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset_files import read_json_file
from ..errors import HandError
from ..geometry import project
from .joint_orders import INTERHAND_TO_OPENPOSE
from .mano_labels import ManoModels, mirror_pose, turn_pose
from .raw_hand import LeftOut, RawHand, ReadReport, sample_key

__all__ = ["read_interhand"]

_MM = 1000.0
_WRIST = 20  # of each hand, in their order
_LEAST_KEYPOINTS = 5
_POSES = ("MANO_NeuralAnnot", "MANO")


def read_interhand(
    root: str | Path, report: ReadReport, split: str = "train", models: ManoModels | None = None
) -> Iterator[RawHand]:
    """All hands of a split; two entries for interacting hands.

    Args:
        root: the folder that holds `annotations` and `images`.
        report: takes the broken samples.
        split: ``"train"``, ``"val"`` or ``"test"``.
        models: MANO of both sides, to add the mean pose; sides without a model get joints only.

    Raises:
        HandError: a label file is missing or damaged.
    """
    root, models = Path(root), models or ManoModels()
    folder = root / "annotations" / split
    label = folder / f"InterHand2.6M_{split}_data.json"
    data = read_json_file(label)
    cameras = read_json_file(folder / f"InterHand2.6M_{split}_camera.json")
    joints = read_json_file(folder / f"InterHand2.6M_{split}_joint_3d.json")
    poses: dict[str, Any] = {}
    if models.right is not None or models.left is not None:
        files = [folder / f"InterHand2.6M_{split}_{name}.json" for name in _POSES]
        found = [path for path in files if path.is_file()]
        poses = read_json_file(found[0]) if found else {}
    if not isinstance(data, dict) or "images" not in data or "annotations" not in data:
        raise HandError(f"{label} has no images and annotations; it is another file.")
    images = {image["id"]: image for image in data["images"]}
    for annotation in data["annotations"]:
        for is_right in (True, False):
            if annotation.get("hand_type") == ("left" if is_right else "right"):
                continue
            hand: RawHand | None = None
            number = annotation.get("id")
            with report.guard(f"{label}: annotation {number}"):
                image = images[annotation["image_id"]]
                labels = _labels(
                    annotation, image, is_right, cameras, joints, poses, models, report
                )
                hand = RawHand(
                    key=sample_key("interhand", split, number, "right" if is_right else "left"),
                    source="interhand26m",
                    label=label,
                    picture=root / "images" / split / image["file_name"],
                    is_right=is_right,
                    size=(int(image["width"]), int(image["height"])),
                    hands_shown=2 if annotation.get("hand_type") == "interacting" else 1,
                    **labels,
                )
            if hand is not None:
                yield hand


def _labels(
    annotation: dict[str, Any],
    image: dict[str, Any],
    is_right: bool,
    cameras: dict[str, Any],
    joints: dict[str, Any],
    poses: dict[str, Any],
    models: ManoModels,
    report: ReadReport,
) -> dict[str, Any]:
    capture, frame, camera = (str(image[k]) for k in ("capture", "frame_idx", "camera"))
    rows = slice(0, 21) if is_right else slice(21, 42)
    valid = np.array(annotation["joint_valid"], np.float64).reshape(42)[rows] > 0
    if not valid[_WRIST]:
        raise LeftOut("hands whose wrist is not valid")
    if valid.sum() < _LEAST_KEYPOINTS:
        raise LeftOut("hands with too few valid joints")
    about = {
        name: np.array(cameras[capture][name][camera], np.float64)
        for name in ("campos", "camrot", "focal", "princpt")
    }
    rotation = about["camrot"].reshape(3, 3)
    world = np.array(joints[capture][frame]["world_coord"], np.float64).reshape(42, 3)[rows]
    in_camera = (world - about["campos"].reshape(3)) @ rotation.T / _MM
    order = list(INTERHAND_TO_OPENPOSE)
    in_camera, valid = in_camera[order], valid[order]
    intrinsics = np.eye(3)
    intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2] = about["focal"], about["princpt"]
    if (in_camera[valid, 2] <= 0).any():
        raise HandError("joints lie behind the camera")
    keypoints = np.zeros((21, 3))
    keypoints[valid, :2] = project(in_camera[valid], intrinsics)
    keypoints[valid, 2] = 1
    # A sample holds all 21 joints in 3D or none.
    complete = in_camera if valid.all() else None
    if complete is None:
        report.left_out["3D joints of hands with some not valid"] += 1
    pose, betas = _parameters(poses, capture, frame, is_right, rotation, complete, models, report)
    return {
        "keypoints_2d": keypoints,
        "joints_3d": complete,
        "intrinsics": intrinsics,
        "pose": pose,
        "betas": betas,
    }


def _parameters(
    poses: dict[str, Any],
    capture: str,
    frame: str,
    is_right: bool,
    rotation: np.ndarray,
    joints: np.ndarray | None,
    models: ManoModels,
    report: ReadReport,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    side = "right" if is_right else "left"
    entry = (poses.get(capture, {}).get(frame) or {}).get(side)
    if entry is None:
        return None, None
    betas = np.array(entry["shape"], np.float64).reshape(10)
    pose = models.flat_pose(
        np.array(entry["pose"], np.float64).reshape(48), is_right, components=False
    )
    if pose is None:
        return None, None
    pose = turn_pose(pose, rotation)
    pose = pose if is_right else mirror_pose(pose)
    if joints is not None:
        checked = models.checked(pose, betas, joints, is_right)
        if checked is None:
            report.left_out["parameters that do not fit their joints"] += 1
        pose = checked
    return pose, None if pose is None else betas
