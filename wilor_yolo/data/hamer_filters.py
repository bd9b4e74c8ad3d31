"""One hand in HaMeR's layout -> `RawHand`, with HaMeR's filters.

Training tars (`data.pyd`) and evaluation `.npz` files share their fields: `keypoints_2d` (21, 3),
`keypoints_3d` (21, 4: x, y, z, confidence), `center` (2,) px, `scale`, `hand_pose` (48,) flat
axis-angle of the hand's own side, `betas` (10,), `right`, `has_hand_pose`, `has_betas`. Keypoint
order is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HandError
from .mano_labels import mirror_pose
from .raw_hand import LeftOut, RawHand

__all__ = ["SCALE_UNIT", "TAR_MARGIN", "HamerFilters", "hamer_hand"]

SCALE_UNIT = 200.0  # px of box side for scale 1 in the tars
# The tars' boxes are the network's crops. HaMeR doubles tight boxes to get its crops in its
# evaluation; that the tars were made with the same factor is an assumption.
TAR_MARGIN = 2.0


@dataclass(frozen=True)
class HamerFilters:
    """Thresholds of HaMeR's public training configuration.

    Attributes:
        least_confidence: keypoints below it count as unknown.
        least_keypoints: hands need more known keypoints than this.
        largest_loss: of the fit that made the parameters (`reprojection_loss`, its own unit).
        largest_beta: shapes with a larger entry are not believed; the pose goes with them, as
            pose and shape are used together or not at all.
    """

    least_confidence: float = 0.3
    least_keypoints: int = 4
    largest_loss: float = 31000.0
    largest_beta: float = 3.0


def hamer_hand(
    fields: Mapping[str, Any],
    key: str,
    source: str,
    label: Path,
    picture: Path | bytes,
    box_px: np.ndarray,
    filters: HamerFilters,
) -> RawHand:
    """Translate and filter one hand.

    Args:
        fields: as above; `extra_info` may hold the `fitting_loss`.
        key, source, label, picture: see `RawHand`.
        box_px: (2,) width and height of the hand's tight box around `center`, used when not all
            keypoints are known.
        filters: see there.

    Raises:
        LeftOut: a filter takes the hand out.
        HandError, KeyError, ValueError: fields missing or of another shape.
    """
    keypoints = np.array(fields["keypoints_2d"], np.float64).reshape(21, 3)
    if not np.isfinite(keypoints).all():
        raise HandError("keypoints_2d holds NaN or infinity")
    confidence = keypoints[:, 2]
    keypoints[:, 2] = np.where(confidence < filters.least_confidence, 0, np.minimum(confidence, 1))
    known = keypoints[:, 2] > 0
    if known.sum() <= filters.least_keypoints:
        raise LeftOut(f"hands with {filters.least_keypoints} or fewer keypoints")
    loss = _fitting_loss(fields.get("extra_info"))
    if loss is not None and not loss < filters.largest_loss:
        raise LeftOut("hands whose parameters fit badly")
    is_right = bool(np.asarray(fields["right"]).item() > 0)
    joints = np.array(fields["keypoints_3d"], np.float64).reshape(21, -1)
    # A sample holds all 21 joints in 3D or none.
    complete = joints.shape[1] == 3 or bool((joints[:, 3] > 0).all())
    pose, betas = _parameters(fields, is_right, filters)
    center = np.array(fields["center"], np.float64).reshape(2)
    return RawHand(
        key=key,
        source=source,
        label=label,
        picture=picture,
        is_right=is_right,
        keypoints_2d=keypoints,
        joints_3d=joints[:, :3] if complete and np.abs(joints[:, :3]).any() else None,
        pose=pose,
        betas=betas,
        box=None if known.all() else np.concatenate((center - box_px / 2, center + box_px / 2)),
    )


def _parameters(
    fields: Mapping[str, Any], is_right: bool, filters: HamerFilters
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if not (float(np.asarray(fields["has_hand_pose"])) > 0 and np.asarray(fields["has_betas"]) > 0):
        return None, None
    betas = np.array(fields["betas"], np.float64).reshape(10)
    pose = np.array(fields["hand_pose"], np.float64).reshape(48)
    if (np.abs(betas) > filters.largest_beta).any():
        return None, None
    # The labels describe the hand of its own side; HaMeR mirrors them with the picture.
    return (pose if is_right else mirror_pose(pose)), betas


def _fitting_loss(extra: Any) -> float | None:
    losses = extra.get("fitting_loss") if isinstance(extra, Mapping) else None
    loss = losses.get("reprojection_loss") if isinstance(losses, Mapping) else None
    return None if loss is None else float(np.asarray(loss))
