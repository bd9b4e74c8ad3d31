"""Training crops: one random affine view of a sample's context picture, then random colours.

The view mirrors a left hand, so the network always sees a right one, and mirrors and rotates the
labels with the pixels. Where the camera is known, 3D labels are turned into the view's ray frame
(see :mod:`wilor_yolo.reconstruct.ray`). The geometry of the un-augmented view is that of
:mod:`wilor_yolo.crops`. Ranges follow the released WiLoR/HaMeR where they give one (scale 0.3,
rotation 30 degrees times a clipped normal, p 0.6), widened where a detector's boxes are worse than
annotated ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..crops import CropGeometry, crop_axes, crop_geometry, crop_hands
from ..geometry import mirror_rotation
from ..samples import HandSample
from .pointing import KNUCKLES, pointing
from .ray import ray_rotation

__all__ = [
    "AugmentConfig",
    "CropLabels",
    "CropView",
    "change_colours",
    "plain_view",
    "random_view",
    "take_crop",
    "upright_angle",
    "view_labels",
    "view_turn",
]


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the augmentation.

    Attributes:
        scale: the crop side is multiplied by a factor in 1 +- scale.
        rotation_deg: rotation about the optical axis, uniform in +- this.
        rotation_probability: share of samples rotated at all.
        upright_probability: share of samples turned so that their fingers point up, if their wrist
            and knuckles are known; for networks that take a second look, others see none.
        upright_deg: how far off upright these are, uniform in +- this.
        translation: shift of the crop centre, share of the undisturbed crop side over `box_scale`
            (the longer side of the hand box, if the network sees whole crops): detector error.
        brightness, contrast, channel: +- factors; channel tints R, G, B independently.
        gamma: exponent in exp(+- gamma).
        grey_probability: share of samples without colour.
        noise_probability, noise_sigma: sensor noise, sigma up to that many grey levels.
        blur_probability, blur_sigma: defocus, or motion of up to four times as many pixels.
        lowres_probability: share shown as if photographed two to four times smaller.
        erase_probability, erase_max: up to two rectangles, side up to that share of the crop.
        mirror_probability: share of crops shown mirrored, as a detector's wrong side would; they
            teach a network that tells sides (`NetworkConfig.side`), others see none.
    """

    scale: float = 0.25
    rotation_deg: float = 45.0
    rotation_probability: float = 0.6
    upright_probability: float = 0.6
    upright_deg: float = 25.0
    translation: float = 0.10
    brightness: float = 0.3
    contrast: float = 0.25
    channel: float = 0.15
    gamma: float = 0.35
    grey_probability: float = 0.05
    noise_probability: float = 0.3
    noise_sigma: float = 10.0
    blur_probability: float = 0.2
    blur_sigma: float = 1.5
    lowres_probability: float = 0.15
    erase_probability: float = 0.25
    erase_max: float = 0.35
    mirror_probability: float = 0.15


@dataclass(frozen=True)
class CropView:
    """A square view of a picture.

    A picture point x (px) is shown at crop units p = R F (x - center) / side, where F mirrors x
    for a left hand and R turns by `angle` radians (clockwise on the screen, y points down).
    """

    center: np.ndarray
    side: float
    angle: float
    mirrored: bool

    @property
    def axes(self) -> np.ndarray:
        """R F, (2, 2): from picture directions to crop directions."""
        return crop_axes(np.asarray(self.angle), np.asarray(self.mirrored))

    @property
    def turn(self) -> np.ndarray:
        """(3, 3) rotation about the optical axis of the right-hand view."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Crop units (N, 2) of picture pixels (N, 2)."""
        return (points - self.center) @ self.axes.T / self.side


@dataclass(frozen=True)
class CropLabels:
    """The labels of a sample as its view shows them; zeros where unknown.

    Attributes:
        keypoints_2d: (21, 3) crop units and confidence.
        joints_3d: (21, 3) metres, relative to the wrist, right-hand view, already turned.
        joints_3d_weight: 0 when unknown.
        pose: (16, 3) axis-angle, *not yet turned*: rotation 0 must be multiplied by `turn`.
        turn: (3, 3) from the camera frame of the right-hand view to the view's own: into the ray
            frame if that is asked for and the camera is known, then about the optical axis.
        betas: (10,).
        has_parameters: whether pose and betas are known.
        shows_right: False for a crop mirrored once too often.
    """

    keypoints_2d: np.ndarray
    joints_3d: np.ndarray
    joints_3d_weight: float
    pose: np.ndarray
    turn: np.ndarray
    betas: np.ndarray
    has_parameters: bool
    shows_right: bool = True

    @classmethod
    def of_wrong_side(cls) -> CropLabels:
        """Nothing is known but that the crop shows a left hand."""
        return cls(
            keypoints_2d=np.zeros((21, 3), np.float32),
            joints_3d=np.zeros((21, 3), np.float32),
            joints_3d_weight=0.0,
            pose=np.zeros((16, 3), np.float32),
            turn=np.eye(3, dtype=np.float32),
            betas=np.zeros(10, np.float32),
            has_parameters=False,
            shows_right=False,
        )


def plain_view(sample: HandSample, box_scale: float, aspect: float = 1.0) -> CropView:
    """The view the predictor would take for the sample's own box."""
    geometry = crop_geometry(
        sample.bbox_xyxy[None], np.array([sample.is_right]), box_scale=box_scale, aspect=aspect
    )
    side = float(geometry.size[0])
    return CropView(geometry.center[0].astype(float), side, 0.0, not sample.is_right)


def random_view(
    sample: HandSample,
    rng: np.random.Generator,
    config: AugmentConfig,
    box_scale: float,
    aspect: float = 1.0,
    second_look: bool = False,
) -> CropView:
    """A view moved, scaled and turned at random around the plain one.

    Args:
        sample: what is looked at.
        rng: of this sample alone.
        config: ranges.
        box_scale, aspect: as for :func:`plain_view`.
        second_look: show the views of a second look, too.
    """
    plain = plain_view(sample, box_scale, aspect)
    shift = rng.uniform(-1, 1, 2) * config.translation * plain.side / box_scale
    scale = 1 + rng.uniform(-1, 1) * config.scale
    turned = rng.random() < config.rotation_probability
    angle = np.deg2rad(rng.uniform(-1, 1) * config.rotation_deg) if turned else 0.0
    if second_look and rng.random() < config.upright_probability:
        upright = upright_angle(sample)
        if upright is not None:
            angle = upright + np.deg2rad(rng.uniform(-1, 1) * config.upright_deg)
    return CropView(plain.center + shift, plain.side * scale, float(angle), plain.mirrored)


def upright_angle(sample: HandSample) -> float | None:
    """The `CropView.angle` at which a sample's hand points up; None if it is not known."""
    keypoints = sample.keypoints_2d.copy()
    if (keypoints[[0, *KNUCKLES], 2] <= 0).any():
        return None
    if not sample.is_right:
        keypoints[:, 0] = -keypoints[:, 0]
    return -float(pointing(keypoints[None, :, :2])[0])


def take_crop(image: np.ndarray, view: CropView, size: int) -> np.ndarray:
    """What the predictor would cut: (size, size, 3) uint8 BGR, black outside the picture."""
    geometry = CropGeometry(
        center=view.center[None],
        size=np.array([view.side]),
        is_right=np.array([not view.mirrored]),
        angle=np.array([view.angle]),
    )
    return crop_hands(image, geometry, size)[0]


def view_turn(sample: HandSample, view: CropView, frame: str = "ray") -> np.ndarray:
    """(3, 3) see `CropLabels.turn`; `frame` is `NetworkConfig.frame`."""
    if frame == "camera" or sample.K is None:
        return view.turn
    to_ray = ray_rotation(view.center, sample.K)[0]
    return view.turn @ (mirror_rotation(to_ray) if view.mirrored else to_ray)


def view_labels(sample: HandSample, view: CropView, frame: str = "ray") -> CropLabels:
    """Move a sample's labels into a view (the mirror law of this file).

    Args:
        sample: its labels are in its picture's camera frame.
        view: of that picture.
        frame: `NetworkConfig.frame`: "ray" or "camera".
    """
    turn = view_turn(sample, view, frame)
    keypoints = np.zeros((21, 3), np.float32)
    keypoints[:, 2] = sample.keypoints_2d[:, 2]
    known = keypoints[:, 2] > 0
    keypoints[known, :2] = view.to_crop(sample.keypoints_2d[known, :2])
    joints = np.zeros((21, 3), np.float32)
    if sample.keypoints_3d is not None:
        relative = sample.keypoints_3d - sample.keypoints_3d[:1]
        if view.mirrored:
            relative = relative * np.array([-1, 1, 1], np.float32)
        joints = (relative @ turn.T).astype(np.float32)
    pose = np.zeros((16, 3), np.float32)
    betas: np.ndarray = np.zeros(10, np.float32)
    if sample.has_parameters:
        assert sample.hand_pose is not None and sample.betas is not None  # all or none are known
        pose[0], pose[1:] = sample.global_orient, sample.hand_pose.reshape(15, 3)
        betas = sample.betas
    return CropLabels(
        keypoints_2d=keypoints,
        joints_3d=joints,
        joints_3d_weight=0.0 if sample.keypoints_3d is None else sample.keypoints_3d_confidence,
        pose=pose,
        turn=turn.astype(np.float32),
        betas=betas,
        has_parameters=sample.has_parameters,
    )


def change_colours(crop: np.ndarray, rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    """Light, colour, sharpness, noise and occluding rectangles; (S, S, 3) uint8 in and out."""
    crop = _blur(crop, rng, config)
    crop = cv2.LUT(crop, _colour_table(rng, config))
    if rng.random() < config.grey_probability:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < config.noise_probability:
        sigma = rng.uniform(0, config.noise_sigma)
        noise = rng.standard_normal(crop.shape, dtype=np.float32) * np.float32(sigma)
        crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
    if rng.random() < config.erase_probability:
        crop = _erase(np.ascontiguousarray(crop), rng, config.erase_max)
    return crop


def _colour_table(rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    level = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-1, 1) * config.gamma)
    gain = 1 + rng.uniform(-1, 1) * config.brightness
    contrast = 1 + rng.uniform(-1, 1) * config.contrast
    tint = 1 + rng.uniform(-1, 1, 3) * config.channel
    table = ((level - 0.5) * contrast + 0.5)[:, None] * gain * tint
    return np.clip(table * 255, 0, 255).astype(np.uint8)[:, None, :]


def _blur(crop: np.ndarray, rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    size = crop.shape[0]
    if rng.random() < config.lowres_probability:
        small = max(int(size / rng.uniform(2, 4)), 8)
        crop = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < config.blur_probability:
        sigma = rng.uniform(0.3, 1) * config.blur_sigma
        if rng.random() < 0.5:
            return cv2.GaussianBlur(crop, (0, 0), sigma)
        length = max(round(4 * sigma), 2)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
        direction = rng.uniform(0, np.pi)
        step = length / 2 * np.array([np.cos(direction), np.sin(direction)])
        start, end = np.round(length - step).astype(int), np.round(length + step).astype(int)
        cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
        return cv2.filter2D(crop, -1, kernel / kernel.sum())
    return crop


def _erase(crop: np.ndarray, rng: np.random.Generator, largest: float) -> np.ndarray:
    size = crop.shape[0]
    for _ in range(rng.integers(1, 3)):
        height, width = (rng.uniform(0.08, largest, 2) * size).astype(int)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        patch = crop[top : top + height, left : left + width]
        if rng.random() < 0.5:
            patch[:] = rng.integers(0, 256, 3)
        else:  # another part of the same picture: an object with texture
            other_top, other_left = rng.integers(0, size - height), rng.integers(0, size - width)
            patch[:] = crop[other_top : other_top + height, other_left : other_left + width].copy()
    return crop
