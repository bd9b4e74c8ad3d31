"""Known sizes: one picture does not say how large a hand is, but its owner may.

What fits a picture fits it at any size, with the distance in proportion. A known hand length or
known shape parameters fix both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..errors import HandError
from ..geometry import fit_translation, mirror_points, project
from ..hands import Hands
from ..mano.layer import HandLayer

__all__ = [
    "check_lengths",
    "hand_lengths",
    "place_by_keypoints",
    "with_betas",
    "with_hand_length",
    "with_wrist_depth",
]

LENGTH_CHAIN = (0, 9, 10, 11, 12)  # wrist, the joints of the middle finger, its tip
# Metres; a newborn's hand is 6 cm long. Rather to catch centimetres than to judge hands.
SHORTEST, LONGEST = 0.04, 0.35
_MOST_BETA = 10.0
NEAREST = 0.02  # metres from the camera; nothing nearer is a hand in a picture


def hand_lengths(joints: np.ndarray) -> np.ndarray:
    """(N,) metres from the wrist joint along the middle finger to its tip, bone by bone.

    This is what a ruler shows on the flat hand, and bending the fingers does not change it.

    Args:
        joints: (N, 21, 3) metres.
    """
    chain = joints[:, LENGTH_CHAIN]
    return np.linalg.norm(np.diff(chain, axis=1), axis=-1).sum(-1)


def check_lengths(length: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Lengths (N,), metres, as :func:`hand_lengths` of real hands could be.

    Raises:
        HandError: no numbers, or such that no hand has.
    """
    try:
        wanted = np.asarray(length, np.float32).reshape(-1)
    except (TypeError, ValueError):
        wanted = np.full(1, np.nan)
    if not ((wanted >= SHORTEST) & (wanted <= LONGEST)).all():  # nor is NaN
        raise HandError(
            f"hand_length={length} lies outside {SHORTEST} to {LONGEST}; it is in metres, from the "
            "wrist to the tip of the middle finger."
        )
    return wanted


def with_hand_length(hands: Hands, length: float | Sequence[float] | np.ndarray) -> Hands:
    """The hands at their true size and distance.

    Vertices, joints and `cam_t` grow by the same factor, which leaves every pixel where it is;
    the factor goes to `Hands.scale`.

    Args:
        hands: reconstructed hands.
        length: :func:`hand_lengths` of the real hand or hands, metres: one for all, or N.

    Raises:
        HandError: not one length nor N, or one that no hand has.
    """
    wanted = check_lengths(length)
    if wanted.size not in (1, len(hands)):
        raise HandError(f"hand_length needs one number or {len(hands)}, got {wanted.size}.")
    if not len(hands) or not hands.reconstructed:
        return hands
    return _scaled(hands, wanted / hand_lengths(hands.need("joints")))


def with_wrist_depth(hands: Hands, depth: float | Sequence[float] | np.ndarray) -> Hands:
    """The hands at the distance a depth camera measured, and of the size that goes with it.

    As for :func:`with_hand_length`, no pixel moves. The wrist joint lies inside the hand, a
    centimetre or two behind the skin the camera measures.

    Args:
        hands: reconstructed hands.
        depth: z of the wrist joint in the camera frame, metres: one for all, or N; NaN or 0, where
            nothing was measured, leaves a hand as it is.

    Raises:
        HandError: not one depth nor N, or a negative one.
    """
    wanted = np.asarray(depth, np.float32).reshape(-1)
    if wanted.size not in (1, len(hands)):
        raise HandError(f"depth needs one number or {len(hands)}, got {wanted.size}.")
    if (wanted < 0).any():
        raise HandError(f"depth={depth}: nothing behind the camera is seen; metres, z forward.")
    if not len(hands) or not hands.reconstructed:
        return hands
    found = hands.need("joints")[:, 0, 2] + hands.need("cam_t")[:, 2]
    return _scaled(hands, np.where(wanted > 0, wanted / found, 1))


def _scaled(hands: Hands, factor: np.ndarray) -> Hands:
    """Everything in metres times a factor a hand (N,)."""
    factor = factor.astype(np.float32)
    return replace(
        hands,
        vertices=hands.need("vertices") * factor[:, None, None],
        joints=hands.need("joints") * factor[:, None, None],
        cam_t=hands.need("cam_t") * factor[:, None],
        scale=factor if hands.scale is None else hands.scale * factor,
    )


def with_betas(hands: Hands, layer: HandLayer, betas: np.ndarray) -> Hands:
    """The hands with known shape parameters, placed anew under the keypoints they had.

    Args:
        hands: reconstructed hands.
        layer: the model the parameters belong to.
        betas: (10,) for all hands, or (N, 10).

    Raises:
        HandError: another shape, or numbers that no hand has.
    """
    given = np.asarray(betas, np.float32)
    if given.shape not in ((10,), (len(hands), 10)):
        raise HandError(f"betas must be (10,) or ({len(hands)}, 10), got {given.shape}.")
    if not (np.abs(given) <= _MOST_BETA).all():  # nor is NaN
        raise HandError(f"betas must lie within +-{_MOST_BETA:g}; they count standard deviations.")
    if not len(hands) or not hands.reconstructed:
        return hands
    shape = np.array(np.broadcast_to(given, (len(hands), 10)))
    device = layer.v_template.device
    with torch.inference_mode():
        mesh = layer(
            *(
                torch.from_numpy(np.ascontiguousarray(array)).to(device)
                for array in (hands.global_orient, hands.hand_pose, shape)
            )
        )
    vertices, joints = mesh.vertices.cpu().numpy().copy(), mesh.joints.cpu().numpy().copy()
    left = ~hands.is_right
    vertices[left], joints[left] = mirror_points(vertices[left]), mirror_points(joints[left])
    pixels = hands.keypoints_2d
    assert pixels is not None  # reconstructed
    shaped = replace(hands, vertices=vertices, joints=joints, betas=shape, scale=None)
    return place_by_keypoints(shaped, pixels)


def place_by_keypoints(
    hands: Hands, keypoints_2d: np.ndarray, confidence: np.ndarray | None = None
) -> Hands:
    """Translations solved anew so that the joints project nearest to given keypoints (PnP).

    Rotation and shape stay. `K` may be off-centre and its fx and fy may differ.

    Args:
        hands: reconstructed hands.
        keypoints_2d: (N, 21, 2) px; NaN where one is not known.
        confidence: (N, 21) weights of the keypoints, 0, less or NaN to ignore one; all alike by
            default.

    Returns:
        The hands; one whose keypoints fit no hand before the camera stays where it was.

    Raises:
        HandError: another shape, or hands without joints.
    """
    joints, K, before = hands.joints, hands.K, hands.cam_t
    if joints is None or K is None or before is None:
        raise HandError("these hands have no joints; reconstruct them with HandReconstructor.")
    pixels, count = np.asarray(keypoints_2d, np.float64), len(hands)
    weights = np.ones((count, 21)) if confidence is None else np.asarray(confidence, np.float64)
    if pixels.shape != (count, 21, 2) or weights.shape != (count, 21):
        raise HandError(
            f"{count} hands need keypoints ({count}, 21, 2) and confidence ({count}, 21), got "
            f"{pixels.shape} and {weights.shape}."
        )
    if not count:
        return hands
    weights = np.where(np.isfinite(pixels).all(-1), np.nan_to_num(weights).clip(min=0), 0)
    fitted = fit_translation(joints, np.nan_to_num(pixels), K, weights)
    # Two points fix a translation.
    good = (fitted[:, 2] > NEAREST) & ((weights > 0).sum(-1) >= 2)
    cam_t = np.where(good[:, None], fitted, before).astype(np.float32)
    return replace(hands, cam_t=cam_t, keypoints_2d=project(joints + cam_t[:, None], K))
