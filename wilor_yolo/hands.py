"""`Hands`: the N hands of one picture, the noun every part of the package speaks.

Arrays are numpy. Camera frame: x right, y down, z forward, metres. The MANO parameters always
describe a **right** hand, as the network sees it; `vertices` and `joints` are already un-mirrored
for left hands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .conventions import (
    ManoParameters,
    MediapipeLandmarks,
    SmplxHand,
    mediapipe_landmarks,
    smplx_hands,
)
from .errors import NPZ_ERRORS, HandError
from .geometry import mirror_axis_angle, mirror_points, mirror_rotation
from .joint_angles import JointAngles, joint_angles
from .skeleton import LEFT, RIGHT, SIDE_NAMES
from .whole_files import write_text

if TYPE_CHECKING:
    import supervision as sv


__all__ = ["SCHEMA", "Hands", "ManoParameters"]

SCHEMA = "wilor_yolo.hands/1"

_REBUILT = (  # by the reconstructor
    "vertices",
    "joints",
    "keypoints_2d",
    "global_orient",
    "hand_pose",
    "betas",
    "cam_t",
)
_PER_HAND = (
    "bbox_xyxy",
    "confidence",
    "is_right",
    "track_id",
    "keypoints_2d_detector",
    *_REBUILT,
    "scale",
)


@dataclass(frozen=True, eq=False)
class Hands:
    """N hands of one picture. Fields from `vertices` on are None until reconstruction; of a picture
    in which the chain found no hand they are arrays of no rows.

    Attributes:
        bbox_xyxy: (N, 4) px, as the detector gives them: counted from the picture's border, the
            middle of the first pixel is 0.5.
        confidence: (N,) detector score, 0 to 1.
        is_right: (N,) bool.
        image_size: (width, height) px.
        source: file the picture came from, if any.
        track_id: (N,) int, or None without tracking.
        keypoints_2d_detector: (N, 21, 3) x px, y px, visibility 0 to 1, or None; counted as
            `bbox_xyxy`.
        vertices: (N, 778, 3) metres, around the hand's own origin; add `cam_t` for camera space.
        joints: (N, 21, 3) metres, same frame as `vertices`.
        keypoints_2d: (N, 21, 2) px, the joints projected by `K`; 0 is the middle of the first
            pixel.
        global_orient: (N, 3, 3) rotation of the right-hand model.
        hand_pose: (N, 15, 3, 3) rotations of the finger joints in MANO order.
        betas: (N, 10) shape.
        cam_t: (N, 3) metres, translation into the camera of the whole picture.
        K: (3, 3) intrinsics, px, counted as `keypoints_2d`.
        scale: (N,) what the posed model was multiplied by to have a known hand length, or None.
        faces: (F, 3) triangles with right-hand winding; :meth:`faces_of` turns them for left hands.
    """

    bbox_xyxy: np.ndarray
    confidence: np.ndarray
    is_right: np.ndarray
    image_size: tuple[int, int]
    source: str | None = None
    track_id: np.ndarray | None = None
    keypoints_2d_detector: np.ndarray | None = None
    vertices: np.ndarray | None = None
    joints: np.ndarray | None = None
    keypoints_2d: np.ndarray | None = None
    global_orient: np.ndarray | None = None
    hand_pose: np.ndarray | None = None
    betas: np.ndarray | None = None
    cam_t: np.ndarray | None = None
    K: np.ndarray | None = None
    faces: np.ndarray | None = None
    scale: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in _PER_HAND:
            value = getattr(self, name)
            if value is not None and len(value) != len(self.bbox_xyxy):
                raise HandError(
                    f"Hands.{name} has {len(value)} rows for {len(self.bbox_xyxy)} boxes."
                )

    @classmethod
    def empty(cls, image_size: tuple[int, int], source: str | None = None) -> Hands:
        """No hand in a picture of `image_size` (width, height)."""
        return cls(
            bbox_xyxy=np.zeros((0, 4), np.float32),
            confidence=np.zeros(0, np.float32),
            is_right=np.zeros(0, bool),
            image_size=image_size,
            source=source,
        )

    def reconstructed_none(self, K: np.ndarray, faces: np.ndarray) -> Hands:
        """The same no hands as the reconstructor gives them: 3D fields of no rows, `K`, `faces`."""
        rows: dict[str, Any] = {
            name: np.zeros((0, *_SHAPES[name]), np.float32) for name in _REBUILT
        }
        return replace(self, **rows, K=np.asarray(K, np.float32), faces=faces)

    def __len__(self) -> int:
        return len(self.bbox_xyxy)

    def __repr__(self) -> str:
        """One line: sides, scores, distances; the arrays are too long to be read."""
        distances = self.distance if self.reconstructed else np.full(len(self), np.nan)
        shown = ", ".join(
            f"{side} {score:.2f}" + ("" if np.isnan(metres) else f" at {metres:.2f} m")
            for side, score, metres in zip(self.side, self.confidence, distances, strict=True)
        )
        width, height = self.image_size
        return f"Hands({len(self)} in {width} x {height} px{': ' if shown else ''}{shown})"

    def __iter__(self) -> Iterator[Hands]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> Hands:
        """The chosen hands as `Hands`; an integer gives `Hands` of one."""
        rows = index if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        if not isinstance(rows, slice) and not rows.size:
            rows = rows.astype(int)  # an empty list is one of floats to numpy
        chosen = {
            name: getattr(self, name)[rows] for name in _PER_HAND if getattr(self, name) is not None
        }
        return replace(self, **chosen)

    @property
    def reconstructed(self) -> bool:
        """Whether the 3D fields are there."""
        return self.vertices is not None

    def need(self, name: str) -> np.ndarray:
        """A field of reconstructed hands; of no hands an empty one.

        Raises:
            HandError: there are hands, and they are not reconstructed.
        """
        value = getattr(self, name)
        if value is not None:
            return value
        if not len(self) and name in _SHAPES:
            return np.zeros((0, *_SHAPES[name]), np.float32)
        raise HandError(f"these hands have no {name}; reconstruct them with HandReconstructor.")

    @property
    def side(self) -> list[str]:
        """``"left"`` or ``"right"`` for each hand."""
        return [SIDE_NAMES[RIGHT if right else LEFT] for right in self.is_right]

    @property
    def distance(self) -> np.ndarray:
        """(N,) metres from the camera to the wrist."""
        return np.linalg.norm(self.need("joints")[:, 0] + self.need("cam_t"), axis=-1)

    def faces_of(self, index: int) -> np.ndarray:
        """(F, 3) triangles of one hand, counter-clockwise seen from outside for either side.

        Raises:
            HandError: the hands are not reconstructed, or were read without their `faces`.
        """
        if self.faces is None and self.reconstructed:  # MANO's and the free hand's faces differ
            raise HandError(
                "these hands have no faces (a line of hands.jsonl has none); add those of their "
                "hand model: replace(hands, faces=load_hand_model().faces), docs/hands-json.md."
            )
        faces = self.need("faces")
        return faces if self.is_right[index] else faces[:, [0, 2, 1]]

    def camera_vertices(self, index: int) -> np.ndarray:
        """(778, 3) vertices of one hand in camera space, metres."""
        return self.need("vertices")[index] + self.need("cam_t")[index]

    def camera_joints(self, index: int) -> np.ndarray:
        """(21, 3) joints of one hand in camera space, metres."""
        return self.need("joints")[index] + self.need("cam_t")[index]

    def wrist_pose(self) -> np.ndarray:
        """(N, 4, 4) poses of the wrists in the camera: rotation, and place in metres.

        The axes are those of MANO's hand of that side, left or right, lying flat: of a right hand
        the fingers point along -x, of a left one along +x; y comes out of the back of the hand.
        `cam_t` alone is not the wrist's place, nor `global_orient` a left hand's rotation.

        Raises:
            HandError: there are hands, and they are not reconstructed.
        """
        poses = np.tile(np.eye(4), (len(self), 1, 1))
        poses[:, :3, :3] = self.need("global_orient")
        left = ~self.is_right
        poses[left, :3, :3] = mirror_rotation(poses[left, :3, :3])
        poses[:, :3, 3] = self.need("joints")[:, 0] + self.need("cam_t")
        return poses

    def to_mano(self, side: str | None = None) -> list[ManoParameters]:
        """Axis-angle MANO parameters, one entry a hand.

        Args:
            side: ``"left"`` or ``"right"`` to get parameters for that MANO model whatever the
                hand is (a mirrored hand); by default each hand's own side.

        Raises:
            HandError: `side` is something else, or the hands are not reconstructed.
        """
        if side not in (None, "left", "right"):
            raise HandError(f'side must be "left" or "right", got {side!r}.')
        import roma
        import torch

        matrices = np.concatenate(
            (self.need("global_orient")[:, None], self.need("hand_pose")), axis=1
        )
        axis_angle = roma.rotmat_to_rotvec(torch.from_numpy(matrices)).numpy()
        result = []
        for i, own_side in enumerate(self.side):
            target = side or own_side
            pose = axis_angle[i] if target == "right" else mirror_axis_angle(axis_angle[i])
            transl = self.need("cam_t")[i].copy()
            if target != own_side:
                transl[0] = -transl[0]
            betas = self.need("betas")[i]
            scale = 1.0 if self.scale is None else float(self.scale[i])
            result.append(
                ManoParameters(target, pose[0], pose[1:].reshape(45), betas, transl, scale)
            )
        return result

    def to_smplx(self, forearm: np.ndarray | None = None) -> list[SmplxHand]:
        """Finger poses and wrist rotations for an SMPL-X body, one entry a hand.

        A body's wrist turns relative to its forearm, which a hand does not show: give the
        forearms, from a body fit in this camera, to get the wrist as SMPL-X wants it.

        Args:
            forearm: (N, 3, 3) or (3, 3) rotation of the body's `left_elbow` or `right_elbow` joint
                (the product along its chain) in the camera frame of this class (x right, y down).

        Raises:
            HandError: another shape, or the hands are not reconstructed.
        """
        return smplx_hands(self.to_mano(), forearm)

    def to_mediapipe(self) -> MediapipeLandmarks:
        """21 landmarks a hand in MediaPipe's order and frames, and wrist-relative for retargeting.

        Raises:
            HandError: the hands are not reconstructed.
        """
        orient = self.need("global_orient").copy()
        orient[~self.is_right] = mirror_rotation(orient[~self.is_right])
        return mediapipe_landmarks(
            self.need("joints"),
            self.need("cam_t"),
            self.need("keypoints_2d"),
            orient,
            focal=float(self.need("K")[0, 0]) if len(self) else 1.0,
            image_size=self.image_size,
            side=self.side,
        )

    def joint_angles(self) -> JointAngles:
        """Flexion and abduction of the 15 finger joints of each hand, degrees.

        Raises:
            HandError: the hands are not reconstructed.
        """
        joints = self.need("joints").copy()
        joints[~self.is_right] = mirror_points(joints[~self.is_right])
        return joint_angles(self.need("global_orient"), self.need("hand_pose"), joints)

    def to_detections(self) -> sv.Detections:
        """The hands as `supervision.Detections`."""
        from .visualize.convert import to_detections

        return to_detections(self)

    def to_keypoints(self) -> sv.KeyPoints:
        """The hands' 21 keypoints as `supervision.KeyPoints`."""
        from .visualize.convert import to_keypoints

        return to_keypoints(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON; see docs/hands-json.md for the schema."""
        result: dict[str, Any] = {"schema": SCHEMA}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                # Five decimals are a hundredth of a millimetre; pixels need fewer.
                value = value.tolist() if value.dtype.kind in "bi" else _rounded(value)
            result[field.name] = list(value) if isinstance(value, tuple) else value
        return result

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Hands:
        """The inverse of :meth:`to_dict`.

        Raises:
            HandError: another schema, unknown or missing fields, or a field of a wrong shape.
        """
        if data.get("schema") != SCHEMA:
            raise HandError(f"expected schema {SCHEMA!r}, got {data.get('schema')!r}.")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known - {"schema"})
        present = {name for name, value in data.items() if value is not None}
        missing = sorted({"bbox_xyxy", "confidence", "is_right", "image_size"} - present)
        if unknown or missing:
            raise HandError(f"hands data has unknown fields {unknown} and lacks {missing}.")
        values = {name: _field(name, data[name]) for name in known & set(data)}
        count = len(values["bbox_xyxy"])
        for name, shape in _SHAPES.items():
            array = values.get(name)
            if array is None:
                continue
            if array.size == 0 and count == 0:  # an empty list has lost its other axes
                values[name] = array.reshape(count, *shape)
            elif array.shape != (count, *shape):
                raise HandError(
                    f"hands data: {name} has shape {array.shape}, not {(count, *shape)}."
                )
        for name, columns in (("K", (3, 3)), ("faces", (3,))):
            array = values.get(name)
            if array is not None and (array.ndim, array.shape[-len(columns) :]) != (2, columns):
                raise HandError(f"hands data: {name} has shape {array.shape}.")
        return cls(**values)

    def to_json(self, path: str | Path) -> Path:
        """Write :meth:`to_dict` to a file, whole or not at all; its folder is made when missing."""
        write_text(path, json.dumps(self.to_dict()))
        return Path(path)

    @classmethod
    def from_json(cls, path: str | Path) -> Hands:
        """Read a file written by :meth:`to_json`.

        Raises:
            HandError: the file is not hands data.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HandError(f"cannot read hands from {path}: {error}") from error
        if not isinstance(data, dict):
            raise HandError(f"{path} holds no hands data (expected a JSON object).")
        return cls.from_dict(data)

    @classmethod
    def from_npz(cls, path: str | Path) -> Hands:
        """Read a file written by `visualize.exports.save_npz` (or ``save(hands, "x.npz")``).

        Raises:
            HandError: the file is not hands data.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                data = {name: archive[name] for name in archive.files}
        except NPZ_ERRORS as error:
            raise HandError(f"cannot read hands from {path}: {error}") from None
        if "source" in data:
            data["source"] = str(data["source"])
        return cls.from_dict({"schema": SCHEMA, **data})


_DTYPES: dict[str, type] = {"is_right": np.bool_, "track_id": np.int64, "faces": np.int32}
_SHAPES: dict[str, tuple[int, ...]] = {
    "bbox_xyxy": (4,),
    "confidence": (),
    "is_right": (),
    "track_id": (),
    "keypoints_2d_detector": (21, 3),
    "vertices": (778, 3),
    "joints": (21, 3),
    "keypoints_2d": (21, 2),
    "global_orient": (3, 3),
    "hand_pose": (15, 3, 3),
    "betas": (10,),
    "cam_t": (3,),
    "scale": (),
}


def _field(name: str, value: Any) -> Any:
    """One field of JSON data as `Hands` holds it."""
    try:
        if name == "image_size":
            width, height = value
            return int(width), int(height)
        if name == "source" or value is None:
            return value
        return np.asarray(value, dtype=_DTYPES.get(name, np.float32))
    except (TypeError, ValueError, OverflowError):
        raise HandError(f"hands data: {name} is not what it should be.") from None


def _rounded(value: np.ndarray) -> list:
    return np.round(value.astype(np.float64), 5).tolist()
