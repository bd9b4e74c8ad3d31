"""One random picture of a hand with everything known about it.

A right hand is rendered always; a left one is the mirrored picture of a right one, in one step
with all its labels (`HandSample.mirrored`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..geometry import project
from ..samples import HandSample
from .background import Photos, draw_background
from .camera_effects import CameraEffects, develop, motion_kernel, sample_effects
from .contact import travel_until_touch
from .grasps import hold_something, sample_grasp_pose
from .hand_mesh import FineHand, PosedHand
from .light import Lighting, sample_lighting
from .materials import random_cloth, random_solid
from .poses import sample_pose
from .props import bystander, obstacle, support
from .rotations import rotation_matrices
from .scene import Part, Rendered, render_scene
from .skin import HandSkin, SkinLook, random_look
from .viewpoint import View, place_hand, sample_orientation
from .wearables import lengthen_arm, sample_wearables

__all__ = ["SOURCE", "joints_hidden", "sample_crop"]

SOURCE = "synth"
_ATTEMPTS = 8
_LEAST_SEEN = 10  # of 21 joints must be inside the photograph and not hidden by other things

# Shares of the scenes.
_HOLDING = 0.26
_SECOND_HAND = 0.17
_OBSTACLE = 0.09
_SUPPORT = 0.22
_BYSTANDER = 0.20
_GLOVE = 0.03

_ARM = 0.125  # metres along the flat hand: beyond it the mesh is arm, not hand
_CLEAR = 0.09  # metres around the eye that must be free

# How deep under the skin the 21 joints lie at most, metres: nearer hits are something else.
_FLESH = np.array([0.034, 0.026, 0.020, 0.016, 0.012] + [0.022, 0.015, 0.013, 0.011] * 4)


@dataclass(frozen=True)
class _Hand:
    """A hand of the scene: its shape in its own frame, and how it lies in the camera's."""

    posed: PosedHand
    pose: np.ndarray
    betas: np.ndarray
    rotation: np.ndarray
    arm_factor: float


def sample_crop(
    seed: int,
    index: int,
    hand: FineHand,
    size: int = 256,
    photos: Photos | None = None,
    rays: int = 24,
) -> HandSample:
    """Sample `index` of the series `seed`; the same arguments give the same bytes.

    Args:
        hand: the fine hand (loading it takes a while; one per process).
        size: side of the square picture, px.
        photos: photographs without hands for a third of the backgrounds.
        rays: occlusion rays per vertex.
    """
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, index, attempt])
        sample = _try(rng, hand, size, photos, rays, f"{seed:03d}_{index:07d}")
        if sample is not None:
            return sample
    # Hardly ever: without other things around, a hand is always seen.
    rng = np.random.default_rng([seed, index, _ATTEMPTS])
    sample = _try(rng, hand, size, photos, rays, f"{seed:03d}_{index:07d}", alone=True)
    assert sample is not None
    return sample


def _try(
    rng: np.random.Generator,
    hand: FineHand,
    size: int,
    photos: Photos | None,
    rays: int,
    key: str,
    alone: bool = False,
) -> HandSample | None:
    holding = rng.random() < _HOLDING and not alone
    main = _random_hand(rng, hand, holding)
    turned = main.posed.model_vertices @ main.rotation.T
    view = place_hand(rng, turned, size)
    clear = _clear_of_the_eye(main, view.translation, hand)
    if clear is None and not alone:
        return None
    main = clear or replace(main, arm_factor=0.0)
    look = random_look(rng)
    glove = random_cloth(rng) if rng.random() < _GLOVE else None
    skin = HandSkin(hand, look, glove=glove)
    parts = _hand_parts(hand, main, view.translation, skin)
    own = _dressed(rng, hand, main, view.translation, parts)
    if holding:
        mesh = hold_something(rng, hand, main.posed)
        if mesh is not None:
            vertices = mesh.vertices @ main.rotation.T + view.translation
            parts.append(Part(vertices, mesh.faces, mesh.vertices, random_solid(rng)))
    centre = turned.mean(0) + view.translation
    if not alone:
        _surround(rng, hand, main, view, skin, centre, parts, size)
    lighting = sample_lighting(rng)
    rendered = render_scene(parts, view.K, (size, size), lighting, rng, rays)
    joints = main.posed.joints @ main.rotation.T + view.translation
    confidence = _confidence(
        rendered, joints, view, size, own, hand.fine_template[:, 0], hand.faces
    )
    if (confidence > 0.75).sum() < _LEAST_SEEN and not alone:
        return None
    image = _photograph(rng, rendered, lighting, view, photos, size, look)
    wrist = main.posed.wrist_at_rest
    keypoints = project(joints, view.K)
    sample = HandSample(
        image=image,
        is_right=True,
        bbox_xyxy=view.box,
        keypoints_2d=np.concatenate([keypoints, confidence[:, None]], 1),
        source=SOURCE,
        key=key,
        keypoints_3d=joints,
        K=view.K,
        global_orient=_axis_angle(main.rotation),
        hand_pose=main.pose[1:].reshape(45),
        betas=main.betas,
        # The model turns about the wrist, the scene about the origin.
        cam_t=view.translation + main.rotation @ wrist - wrist,
    )
    return sample if rng.random() < 0.5 else sample.mirrored()


def _axis_angle(rotation: np.ndarray) -> np.ndarray:
    return cv2.Rodrigues(np.ascontiguousarray(rotation, dtype=np.float64))[0].reshape(3)


def _random_hand(rng: np.random.Generator, hand: FineHand, holding: bool) -> _Hand:
    betas = np.clip(rng.normal(0, 1, 10), -2.5, 2.5)
    pose = sample_grasp_pose(rng) if holding else sample_pose(rng)
    twist, side, bend = np.deg2rad(rng.normal(0, 1, 3) * [20, 11, 24])
    posed = hand.posed(pose, betas, np.array([twist, side, bend]))
    return _Hand(posed, pose, betas, sample_orientation(rng), float(rng.uniform(2.0, 4.0)))


def _clear_of_the_eye(one: _Hand, translation: np.ndarray, hand: FineHand) -> _Hand | None:
    """The hand with a forearm short enough to leave the eye outside of it; None if none is."""
    along = hand.fine_template[:, 0]
    for factor in (one.arm_factor, 0.5 * one.arm_factor, 0.6, 0.0):
        arm = lengthen_arm(one.posed.vertices, along, one.posed.forearm_direction, factor)
        if np.linalg.norm(arm @ one.rotation.T + translation, axis=1).min() > _CLEAR:
            return replace(one, arm_factor=factor)
    return None


def _hand_parts(hand: FineHand, one: _Hand, translation: np.ndarray, skin: HandSkin) -> list[Part]:
    vertices = lengthen_arm(
        one.posed.vertices, hand.fine_template[:, 0], one.posed.forearm_direction, one.arm_factor
    )
    vertices = vertices @ one.rotation.T + translation
    if skin.flipped:
        vertices = vertices * [-1, 1, 1]
    return [Part(vertices, skin.faces, hand.fine_template, skin, hand.control)]


def _dressed(
    rng: np.random.Generator,
    hand: FineHand,
    one: _Hand,
    translation: np.ndarray,
    parts: list[Part],
    flipped: bool = False,
) -> int:
    """Add what the hand wears; returns how many parts belong to the hand so far."""
    for mesh, rest, material in sample_wearables(rng, hand, one.posed, one.arm_factor):
        vertices = mesh.vertices @ one.rotation.T + translation
        faces = mesh.faces
        if flipped:
            vertices, faces = vertices * [-1, 1, 1], np.ascontiguousarray(faces[:, ::-1])
        parts.append(Part(vertices, faces, rest, material))
    return len(parts)


def _surround(
    rng: np.random.Generator,
    hand: FineHand,
    main: _Hand,
    view: View,
    skin: HandSkin,
    centre: np.ndarray,
    parts: list[Part],
    size: int,
) -> None:
    """Add other things to the scene, in place."""
    if rng.random() < _SECOND_HAND:
        parts += _second_hand(rng, hand, main, view, skin, centre)
    if rng.random() < _OBSTACLE:
        pick = main.posed.joints[int(rng.integers(21))] @ main.rotation.T + view.translation
        parts.append(obstacle(rng, pick))
    if rng.random() < _SUPPORT:
        touching = parts[0].vertices[parts[0].rest[:, 0] < 0.16]
        behind = centre / np.linalg.norm(centre)
        table = support(rng, touching, behind)
        if table is not None:
            parts.append(table)
    elif rng.random() < _BYSTANDER / (1 - _SUPPORT):
        reach = centre[2] * size / view.K[0, 0]
        tone = skin.look.tone if rng.random() < 0.7 else 9 * rng.random()
        parts += bystander(rng, centre, reach, tone)


def _second_hand(
    rng: np.random.Generator,
    hand: FineHand,
    main: _Hand,
    view: View,
    skin: HandSkin,
    centre: np.ndarray,
) -> list[Part]:
    """Another hand that touches or passes the first; mostly the same person's other hand."""
    other = _random_hand(rng, hand, holding=False)
    if rng.random() < 0.6:  # clasped, praying, counting on fingers: turned much alike
        wobble = rotation_matrices(rng.normal(0, 0.5, 3))
        mirror = np.diag([-1.0, 1.0, 1.0])
        other = replace(other, rotation=wobble @ mirror @ main.rotation @ np.diag([1.0, 1.0, -1.0]))
        if np.linalg.det(other.rotation) < 0:  # a mirror too many: face the palms
            other = replace(other, rotation=other.rotation @ np.diag([1.0, 1.0, -1.0]))
    flipped = bool(rng.random() < 0.8)
    look = skin.look if rng.random() < 0.8 else random_look(rng)
    sign = np.array([-1.0 if flipped else 1.0, 1.0, 1.0])
    model = (other.posed.model_vertices @ other.rotation.T) * sign
    first = main.posed.model_vertices @ main.rotation.T + view.translation
    way = rng.normal(0, 1, 3) * [1, 1, 1.2]
    way /= np.linalg.norm(way)
    start = centre - 0.5 * way + rng.normal(0, 0.03, 3) - model.mean(0)
    faces = hand.model_faces[:, ::-1] if flipped else hand.model_faces
    travel = travel_until_touch((model + start, faces), (first, hand.model_faces), way)
    if travel is None:
        travel = 0.5 - rng.uniform(0.05, 0.2)
    elif rng.random() < 0.3:
        travel -= rng.uniform(0.0, 0.1)
    place = (start + way * (travel - 0.001)) * sign  # as a right hand, before the flip
    if ((model + start + way * travel)[:, 2] < 0.06).any():
        return []
    second = HandSkin(hand, look, flipped=flipped, glove=skin.glove)
    parts = _hand_parts(hand, other, place, second)
    _dressed(rng, hand, other, place, parts, flipped)
    return parts


def _confidence(
    rendered: Rendered,
    joints: np.ndarray,
    view: View,
    size: int,
    own: int,
    rest_x: np.ndarray,
    hand_faces: np.ndarray,
) -> np.ndarray:
    """(21,) 1 seen or behind own fingers, 0.5 behind own arm or other things, 0 out of sight."""
    pixels = project(joints, view.K)
    x0, y0, x1, y1 = view.photo
    low, high = np.maximum([x0, y0], -0.5), np.minimum([x1, y1], size - 0.5)
    inside = ((pixels >= low) & (pixels <= high)).all(1)
    hidden = joints_hidden(rendered, joints, 0, own, rest_x[hand_faces[:, 0]])
    return np.where(inside, np.where(hidden, 0.5, 1.0), 0.0)


def joints_hidden(
    rendered: Rendered, joints: np.ndarray, hand: int, end: int, along: np.ndarray
) -> np.ndarray:
    """(21,) bool: joints behind other things or behind what the hand's own arm wears.

    Args:
        joints: (21, 3) metres, camera frame.
        hand, end: the hand is part `hand` of the scene; the parts after it, up to `end`, are worn.
        along: (F,) place of each face of the hand along the flat arm, metres.
    """
    part, face, depth = rendered.seen_along(joints / joints[:, 2:])
    other = (part >= end) | ((part >= 0) & (part < hand))
    arm = (part > hand) & (part < end)  # sleeve, watch, ring
    arm |= (part == hand) & (along[np.where(part == hand, face, 0)] > _ARM)
    return (other & (joints[:, 2] > depth)) | (arm & (joints[:, 2] - depth > _FLESH))


def _photograph(
    rng: np.random.Generator,
    rendered: Rendered,
    lighting: Lighting,
    view: View,
    photos: Photos | None,
    size: int,
    look: SkinLook,
) -> np.ndarray:
    """Composite, expose, develop, and cut at the photograph's border: (S, S, 3) uint8 BGR."""
    radiance, alpha = rendered.radiance, rendered.alpha
    background = draw_background(rng, size, size, lighting, photos)
    behind = background.image
    if background.kind == "photo":  # light the hand in the photograph's colour
        colour = behind.mean((0, 1)) + 0.1
        radiance = radiance * (colour / colour.mean()) ** 0.3
        behind = behind * (1.1 * np.exp(rng.normal(0, 0.3)))
    if rng.random() < 0.08:  # the hand moves, the rest stands still
        angle, length = rng.uniform(0, np.pi), rng.uniform(3, 14) * size / 256
        kernel = motion_kernel((length * np.cos(angle), length * np.sin(angle)))
        radiance, alpha = cv2.filter2D(radiance, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    image = radiance + (1 - alpha[..., None]) * behind
    effects = _exposed_for(rng, sample_effects(rng, size), look)
    weights = rng.uniform(0.05, 0.6) + rng.uniform(0.5, 3.0) * alpha
    picture = develop(image, effects, rng, weights)
    x0, y0, x1, y1 = np.round(view.photo).astype(int)
    if x0 > 0 or y0 > 0 or x1 < size or y1 < size:
        cut = np.zeros_like(picture)
        window = slice(max(0, y0), max(0, y1)), slice(max(0, x0), max(0, x1))
        cut[window] = picture[window]
        picture = cut
    return picture


def _exposed_for(rng: np.random.Generator, effects: CameraEffects, look: SkinLook) -> CameraEffects:
    """Cameras expose dark skin less than fully up to grey."""
    brightness = float(look.albedo @ np.array([0.3, 0.55, 0.15]))
    factor = (brightness / 0.32) ** rng.uniform(0.0, 0.28)
    return replace(effects, exposure=float(np.clip(effects.exposure * factor, 0.08, 0.9)))
