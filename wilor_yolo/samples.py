"""One training sample of the reconstructor: a picture of one hand with whatever is known about it.

Two frames meet here. ``image``, ``bbox_xyxy``, ``keypoints_2d``, ``keypoints_3d`` and ``K`` are
the picture as it was taken: a left hand looks like a left hand. ``global_orient``, ``hand_pose``,
``betas`` and ``cam_t`` always describe a *right* hand as the network sees it: for a left hand they
live in the camera frame of the mirrored picture (x -> -x). `HandSample.mirrored` keeps both true.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import mirror_points

__all__ = ["JPEG_QUALITY", "SURE_3D", "EncodedSample", "HandSample"]

JPEG_QUALITY = 92
SURE_3D = 0.5  # `keypoints_3d_confidence` up to here is that of a guess, which is no yardstick

# Shapes of the label arrays; None where the array may be missing.
_SHAPES: dict[str, tuple[int, ...]] = {
    "bbox_xyxy": (4,),
    "keypoints_2d": (21, 3),
    "keypoints_3d": (21, 3),
    "K": (3, 3),
    "global_orient": (3,),
    "hand_pose": (45,),
    "betas": (10,),
    "cam_t": (3,),
}
_REQUIRED = ("bbox_xyxy", "keypoints_2d")
_PARAMETERS = ("global_orient", "hand_pose", "betas")
# Decimals kept in the JSON label: a thousandth of a pixel; a micrometre or microradian.
_DECIMALS = {"bbox_xyxy": 3, "keypoints_2d": 3, "K": 4}


@dataclass(frozen=True)
class HandSample:
    """A context crop of one hand and its labels.

    Attributes:
        image: (H, W, 3) uint8 BGR, the hand roughly centred, left hands not mirrored.
        is_right: the person's side.
        bbox_xyxy: (4,) px, the tight box of the hand in `image` (it may reach outside).
        keypoints_2d: (21, 3) px x, px y, confidence 0..1 (0: unknown), OpenPose order.
        source: the data set, e.g. "synth"; mixing weights and reports go by it.
        key: unique inside its shard, without dots and slashes (a webdataset rule).
        keypoints_3d: (21, 3) metres in the camera frame of `image`, or None.
        keypoints_3d_confidence: 1 for true joints, lower for a weak guess; the losses of 3D
            joints are multiplied by it, those of vertices and parameters are not. Guesses whose
            absolute place is meaningless are root-relative.
        K: (3, 3) intrinsics of `image` in pixels, or None.
        global_orient: (3,) axis-angle of the wrist, right-hand view, or None.
        hand_pose: (45,) axis-angle of the 15 finger joints relative to the flat hand, or None.
        betas: (10,) shape, or None.
        cam_t: (3,) metres, right-hand view: vertices_cam = vertices(parameters) + cam_t, or None.
    """

    image: np.ndarray
    is_right: bool
    bbox_xyxy: np.ndarray
    keypoints_2d: np.ndarray
    source: str
    key: str
    keypoints_3d: np.ndarray | None = None
    keypoints_3d_confidence: float = 1.0
    K: np.ndarray | None = None
    global_orient: np.ndarray | None = None
    hand_pose: np.ndarray | None = None
    betas: np.ndarray | None = None
    cam_t: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise HandError(
                f"sample {self.key}: image must be (H, W, 3) uint8 BGR, "
                f"got {self.image.shape} {self.image.dtype}"
            )
        _check_key(self.key)
        for name, shape in _SHAPES.items():
            value = getattr(self, name)
            if value is None:
                if name in _REQUIRED:
                    raise HandError(f"sample {self.key}: {name} is missing")
                continue
            object.__setattr__(self, name, _numbers(self.key, name, value, shape))
        if not isinstance(self.is_right, (bool, np.bool_)):
            raise HandError(f"sample {self.key}: is_right must be true or false")
        weight = self.keypoints_3d_confidence
        if not 0 <= _numbers(self.key, "keypoints_3d_confidence", weight, ()) <= 1:
            raise HandError(f"sample {self.key}: keypoints_3d_confidence must lie in 0..1")
        present = [getattr(self, name) is not None for name in _PARAMETERS]
        if any(present) and not all(present):
            raise HandError(f"sample {self.key}: give all of {', '.join(_PARAMETERS)} or none")
        if self.cam_t is not None and not all(present):
            raise HandError(f"sample {self.key}: cam_t without hand parameters means nothing")
        confidence = self.keypoints_2d[:, 2]
        if confidence.min() < 0 or confidence.max() > 1:
            raise HandError(f"sample {self.key}: keypoint confidence must lie in 0..1")

    @property
    def has_parameters(self) -> bool:
        """Whether pose and shape parameters are known."""
        return self.hand_pose is not None

    def mirrored(self) -> HandSample:
        """The same hand seen in a mirror: the other side; its own inverse.

        Pixels, box, keypoints, 3D joints and camera turn over; the parameters do not, because
        they describe the right-hand view of either picture. A left sample's mirror image is what
        the network is shown.
        """
        width = self.image.shape[1]
        keypoints = self.keypoints_2d.copy()
        keypoints[:, 0] = width - 1 - keypoints[:, 0]
        x0, y0, x1, y1 = self.bbox_xyxy
        intrinsics = None
        if self.K is not None:
            intrinsics = self.K.copy()
            intrinsics[0, 2] = width - 1 - intrinsics[0, 2]
            intrinsics[0, 1] = -intrinsics[0, 1]
        return replace(
            self,
            image=np.ascontiguousarray(self.image[:, ::-1]),
            is_right=not self.is_right,
            bbox_xyxy=np.array([width - 1 - x1, y0, width - 1 - x0, y1], np.float32),
            keypoints_2d=keypoints,
            keypoints_3d=None if self.keypoints_3d is None else mirror_points(self.keypoints_3d),
            K=intrinsics,
        )

    def to_label(self) -> dict[str, Any]:
        """Everything but the pixels, as JSON-ready values; missing arrays are left out."""
        label: dict[str, Any] = {
            "source": self.source,
            "is_right": bool(self.is_right),
            "keypoints_3d_confidence": round(float(self.keypoints_3d_confidence), 4),
        }
        for name in _SHAPES:
            value = getattr(self, name)
            if value is not None:
                label[name] = np.round(value.astype(np.float64), _DECIMALS.get(name, 6)).tolist()
        return label

    def encode(self, quality: int = JPEG_QUALITY) -> EncodedSample:
        """Compress the picture as JPEG and the labels as JSON."""
        done, data = cv2.imencode(".jpg", self.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise HandError(f"sample {self.key}: OpenCV could not encode the picture")
        label = json.dumps(self.to_label(), separators=(",", ":")).encode()
        return EncodedSample(self.key, data.tobytes(), label)


@dataclass(frozen=True)
class EncodedSample:
    """A sample as it lies in a shard: JPEG bytes and JSON bytes under one key."""

    key: str
    jpeg: bytes
    label: bytes

    @property
    def source(self) -> str:
        """The data set named in the label (the picture is not decoded)."""
        return str(self._read_label()["source"])

    def decode(self) -> HandSample:
        """Decode into a `HandSample`.

        Raises:
            HandError: JPEG, JSON or a label in it is damaged; the message names the sample.
        """
        label = self._read_label()
        known = {field.name for field in fields(HandSample)} - {"image", "key"}
        unknown = sorted(set(label) - known)
        if unknown:
            raise HandError(f"sample {self.key}: unknown label fields {', '.join(unknown)}")
        missing = sorted({"source", "is_right", *_REQUIRED} - set(label))
        if missing:
            raise HandError(f"sample {self.key}: label lacks {', '.join(missing)}")
        buffer = np.frombuffer(self.jpeg, np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
        if image is None:
            raise HandError(f"sample {self.key}: the JPEG is damaged")
        return HandSample(image=image, key=self.key, **label)

    def read_parameters(self) -> tuple[np.ndarray, np.ndarray] | None:
        """`hand_pose` (45,) and `betas` (10,) or None, float32; the picture is not decoded.

        Raises:
            HandError: as :meth:`decode`, of the label.
        """
        label = self._read_label()
        if label.get("hand_pose") is None or label.get("betas") is None:
            return None
        pose, betas = (
            _numbers(self.key, name, label[name], _SHAPES[name]) for name in ("hand_pose", "betas")
        )
        return pose, betas

    def _read_label(self) -> dict[str, Any]:
        try:
            label = json.loads(self.label)
        except ValueError as error:
            raise HandError(f"sample {self.key}: the JSON label is damaged ({error})") from None
        if not isinstance(label, dict):
            raise HandError(f"sample {self.key}: the JSON label is not an object")
        return label


def _numbers(key: str, name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A label as float32, or an error that names sample and label."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal length
        raise HandError(f"sample {key}: {name} must be {shape}, got ragged rows") from None
    if array.dtype.kind not in "iuf":
        raise HandError(f"sample {key}: {name} holds something else than numbers")
    if array.shape != shape:
        raise HandError(f"sample {key}: {name} must be {shape}, got {array.shape}")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise HandError(f"sample {key}: {name} holds NaN or infinity")
    return array


def _check_key(key: str) -> None:
    if not key or "." in key or "/" in key:
        raise HandError(f"sample key {key!r}: must not be empty nor hold dots or slashes")
