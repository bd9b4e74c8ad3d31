"""Frames of a short clip: one or two hands that move, a camera that may shake, and the truth.

The world's frame is the camera's at rest: x right, y down, z forward. Light, skin, clothes and
background are drawn once for a clip. What is left out: motion blur of single hands, things in
front of hands, and any walk of the camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..geometry import mirror_points, mirror_rotation, project
from .background import draw_background
from .camera_effects import CameraEffects, develop, sample_effects
from .crop_scene import joints_hidden
from .hand_mesh import FineHand, PosedHand
from .hand_motion import HandMotion, sample_motion, sample_shake
from .light import Lighting, sample_lighting
from .scene import Part, render_scene
from .skin import HandSkin, random_look
from .wearables import lengthen_arm, sample_wearables

__all__ = ["ClipFrame", "ClipHand", "render_clip"]

_TWO_HANDS = 0.6
_DARKEST = 0.3  # exposure; the whole picture is metered, and hands on black would drown
_CLEAR = 0.09  # metres around the eye that must be free
_MARGIN = 1.25  # the background is drawn this much larger, for the camera to turn
_LEAST_IN_PICTURE = 0.1  # share of the mesh's vertices below which a hand has left


@dataclass(frozen=True)
class ClipHand:
    """One hand of a frame; the frames are those of `HandSample`: pixels and 3D as taken,
    parameters of a right hand (of the mirrored picture, for a left one).

    Attributes:
        track: the same through the clip.
        is_right: the side.
        bbox_xyxy: (4,) px, of the mesh inside the picture.
        keypoints_2d: (21, 3) px and confidence: 1 seen, 0.5 hidden, 0 outside.
        keypoints_3d: (21, 3) metres, camera frame.
        global_orient (3,), hand_pose (45,), betas (10,), cam_t (3,): as in `HandSample`.
    """

    track: int
    is_right: bool
    bbox_xyxy: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    cam_t: np.ndarray


@dataclass(frozen=True)
class ClipFrame:
    """A frame.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        time: seconds.
        camera_rotation: (3, 3) from the world to the camera; the camera stays at the origin.
        K: (3, 3) px.
        hands: those in the picture.
    """

    image: np.ndarray
    time: float
    camera_rotation: np.ndarray
    K: np.ndarray
    hands: tuple[ClipHand, ...]


@dataclass(frozen=True)
class _Actor:
    """A hand through the clip, as a right one."""

    is_right: bool
    motion: HandMotion
    posed: list[PosedHand]
    betas: np.ndarray
    skin: HandSkin
    arm_factor: float
    clothes: int  # seed: the same clothes in every frame

    def place(self, i: int, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and translation (3,) into the camera, of the right-hand view."""
        camera = camera if self.is_right else mirror_rotation(camera)
        rotation = camera @ self.motion.rotations[i]
        return rotation, camera @ self.motion.places[i] - rotation @ self.posed[i].wrist_at_rest


def render_clip(
    seed: int,
    number: int,
    hand: FineHand,
    frames: int,
    fps: float,
    size: tuple[int, int],
    rays: int = 16,
) -> Iterator[ClipFrame]:
    """The frames of clip `number` of the series `seed`; the same arguments give the same frames.

    Args:
        hand: the fine hand.
        frames: how many.
        fps: frames a second.
        size: (width, height) px.
        rays: occlusion rays per vertex.
    """
    rng = np.random.default_rng([seed, number])
    width, height = size
    times = np.arange(frames) / fps
    focal = max(size) / 2 / np.tan(np.deg2rad(rng.uniform(40, 75)) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    lighting = sample_lighting(rng)
    shake = sample_shake(rng, times)
    actors = _actors(rng, hand, times, K, size, shake)
    wide = round(width * _MARGIN), round(height * _MARGIN)
    background = draw_background(rng, *wide, lighting).image
    # The shake is the camera's own; a new draw of the scaling in each frame would flicker.
    drawn = sample_effects(rng, max(size))
    exposure = max(drawn.exposure, _DARKEST)
    effects = replace(drawn, exposure=exposure, motion=(0.0, 0.0), low_resolution=1.0)
    for i, time in enumerate(times):
        own = np.random.default_rng([seed, number, i])
        image, hands = _frame(own, hand, actors, i, shake[i], K, size, lighting, rays, background,
                              effects)  # fmt: skip
        yield ClipFrame(image, float(time), shake[i], K, hands)


def _actors(
    rng: np.random.Generator,
    hand: FineHand,
    times: np.ndarray,
    K: np.ndarray,
    size: tuple[int, int],
    shake: np.ndarray,
) -> list[_Actor]:
    """One hand, or a person's two, each in its half of the picture."""
    sides = [False, True] if rng.random() < _TWO_HANDS else [bool(rng.random() < 0.5)]
    betas = np.clip(rng.normal(0, 1, 10), -2.5, 2.5)
    look = random_look(rng)
    halves = [0.5] if len(sides) == 1 else list(rng.permutation([0.3, 0.7]))
    actors = []
    for is_right, middle in zip(sides, halves, strict=True):
        # A left hand moves as a right one in the mirror.
        motion = sample_motion(rng, times, K, size, middle if is_right else 1 - middle)
        forearm = np.deg2rad(rng.normal(0, 1, 3) * [20, 11, 24])
        posed = [hand.posed(pose, betas, forearm) for pose in motion.poses]
        skin = HandSkin(hand, look, flipped=not is_right)
        actor = _Actor(is_right, motion, posed, betas, skin, 3.0, int(rng.integers(1 << 30)))
        actors.append(_with_short_arm(actor, hand, shake))
    return actors


def _with_short_arm(actor: _Actor, hand: FineHand, shake: np.ndarray) -> _Actor:
    """The longest forearm that never comes near the eye."""
    for factor in (7.0, 3.0, 1.0, 0.0):
        nearest = min(
            np.linalg.norm(_vertices(actor, hand, i, shake[i], factor)[::20], axis=1).min()
            for i in range(len(shake))
        )
        if nearest > _CLEAR:
            break
    return replace(actor, arm_factor=factor)


def _vertices(
    actor: _Actor, hand: FineHand, i: int, camera: np.ndarray, factor: float
) -> np.ndarray:
    """(V, 3) of the fine mesh with its arm in the right-hand view."""
    posed = actor.posed[i]
    rotation, translation = actor.place(i, camera)
    along = hand.fine_template[:, 0]
    arm = lengthen_arm(posed.vertices, along, posed.forearm_direction, factor)
    return arm @ rotation.T + translation


def _frame(
    rng: np.random.Generator,
    hand: FineHand,
    actors: list[_Actor],
    i: int,
    camera: np.ndarray,
    K: np.ndarray,
    size: tuple[int, int],
    lighting: Lighting,
    rays: int,
    background: np.ndarray,
    effects: CameraEffects,
) -> tuple[np.ndarray, tuple[ClipHand, ...]]:
    parts: list[Part] = []
    spans = []
    for actor in actors:
        first = len(parts)
        parts += _parts(actor, hand, i, camera)
        spans.append((first, len(parts)))
    rendered = render_scene(parts, K, size, lighting, rng, rays)
    behind = _turned_background(background, camera, K, size)
    image = rendered.radiance + (1 - rendered.alpha[..., None]) * behind
    picture = develop(image, effects, rng)
    along = hand.fine_template[hand.faces[:, 0], 0]
    hands = []
    for track, (actor, (first, end)) in enumerate(zip(actors, spans, strict=True)):
        joints = _seen_joints(actor, i, camera)
        hidden = np.zeros(21, bool)
        if (joints[:, 2] > 0.01).all():
            hidden = joints_hidden(rendered, joints, first, end, along)
        label = _label(track, actor, i, camera, K, size, joints, hidden)
        if label is not None:
            hands.append(label)
    return picture, tuple(hands)


def _parts(actor: _Actor, hand: FineHand, i: int, camera: np.ndarray) -> list[Part]:
    sign = np.array([1.0 if actor.is_right else -1.0, 1.0, 1.0])
    vertices = _vertices(actor, hand, i, camera, actor.arm_factor) * sign
    parts = [Part(vertices, actor.skin.faces, hand.fine_template, actor.skin, hand.control)]
    rotation, translation = actor.place(i, camera)
    same = np.random.default_rng(actor.clothes)
    for mesh, rest, material in sample_wearables(same, hand, actor.posed[i], actor.arm_factor):
        worn = (mesh.vertices @ rotation.T + translation) * sign
        faces = mesh.faces if actor.is_right else np.ascontiguousarray(mesh.faces[:, ::-1])
        parts.append(Part(worn, faces, rest, material))
    return parts


def _seen_joints(actor: _Actor, i: int, camera: np.ndarray) -> np.ndarray:
    """(21, 3) metres in the camera's frame, as taken."""
    rotation, translation = actor.place(i, camera)
    joints = actor.posed[i].joints @ rotation.T + translation
    return joints if actor.is_right else mirror_points(joints)


def _label(
    track: int,
    actor: _Actor,
    i: int,
    camera: np.ndarray,
    K: np.ndarray,
    size: tuple[int, int],
    joints: np.ndarray,
    hidden: np.ndarray,
) -> ClipHand | None:
    """The truth about a hand; None when it has left the picture."""
    posed = actor.posed[i]
    rotation, translation = actor.place(i, camera)
    mesh = posed.model_vertices @ rotation.T + translation
    if mesh[:, 2].min() < 0.02:
        return None
    pixels = project(mesh if actor.is_right else mirror_points(mesh), K)
    last = np.array(size) - 0.5
    if ((pixels > -0.5) & (pixels < last)).all(1).mean() < _LEAST_IN_PICTURE:
        return None
    points = project(joints, K)
    inside = ((points > -0.5) & (points < last)).all(1)
    confidence = np.where(inside, np.where(hidden, 0.5, 1.0), 0.0)
    box = np.concatenate([pixels.min(0), pixels.max(0)])
    return ClipHand(
        track=track,
        is_right=actor.is_right,
        bbox_xyxy=np.clip(box, -0.5, np.tile(last, 2)),
        keypoints_2d=np.concatenate([points, confidence[:, None]], 1),
        keypoints_3d=joints,
        global_orient=cv2.Rodrigues(np.ascontiguousarray(rotation))[0].reshape(3),
        hand_pose=actor.motion.poses[i][1:].reshape(45),
        betas=actor.betas,
        # The model turns about the wrist, the scene about the origin.
        cam_t=translation + rotation @ posed.wrist_at_rest - posed.wrist_at_rest,
    )


def _turned_background(
    background: np.ndarray, camera: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """The far background (H', W', 3) as the turned camera sees it, (H, W, 3)."""
    height, width = background.shape[:2]
    wide = K.copy()
    wide[:2, 2] = (width - 1) / 2, (height - 1) / 2
    to_picture = K @ camera @ np.linalg.inv(wide)
    return cv2.warpPerspective(background, to_picture, size, borderMode=cv2.BORDER_REPLICATE)
