"""Does a pose push fingers through each other or the palm? Spheres on the bones of the mean hand.

Poses are (16,3) axis-angle arrays of the MANO order, flat-hand convention, right hand. A rough
check for rejecting random draws, about 0.1 ms each; it knows nothing of the single hand's shape.
"""

from __future__ import annotations

import numpy as np

from .rotations import down_the_tree, rotation_matrices

__all__ = ["is_self_colliding", "penetration", "skeleton_joints"]


# Joints and fingertips of the mean free hand, metres, flat pose: only for the collision check.
_REST_JOINTS = 1e-3 * np.array(
    [
        [95.0, 6.0, 6.0],
        [-7.1, 1.9, 31.5],
        [-33.2, 1.9, 35.2],
        [-56.5, 1.9, 38.4],
        [-6.2, 5.9, 6.0],
        [-40.0, 6.0, 6.6],
        [-67.9, 6.0, 7.1],
        [8.9, 1.9, -31.3],
        [-11.9, 1.9, -37.2],
        [-27.0, 1.9, -41.5],
        [-0.4, 6.3, -13.1],
        [-30.3, 6.4, -16.8],
        [-54.7, 6.4, -19.8],
        [57.8, 2.0, 29.8],
        [39.2, -7.0, 51.7],
        [16.6, -18.0, 78.4],
    ]
)
_REST_TIPS = 1e-3 * np.array(  # after joints 3, 6, 9, 12, 15
    [
        [-82.5, 2.2, 41.9],
        [-93.3, 8.3, 8.3],
        [-46.3, 2.2, -46.9],
        [-81.3, 8.9, -22.5],
        [-1.2, -25.7, 100.1],
    ]
)
# Radius of the flesh about the middle of each bone (proximal, middle, distal), metres.
_RADII = {
    "index": (9.3, 8.6, 7.0),
    "middle": (9.6, 8.8, 7.2),
    "pinky": (7.8, 7.2, 6.0),
    "ring": (9.0, 8.2, 7.0),
    "thumb": (12.0, 9.8, 8.4),
}
_SPHERES_PER_BONE = 5
_SOFTNESS = 0.003  # metres two bodies may overlap: flesh gives way and the spheres are coarse


def _rest_spheres() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spheres along the bones and over the palm, and which pairs of them may not touch.

    Returns (owner joint (S,), centre relative to that joint (S,3), radius (S,), pairs (P,2)) and
    the finger number of each sphere (S,), palm 5.
    """
    owner, centre, radius, group, along = [], [], [], [], []
    for f, finger in enumerate(("index", "middle", "pinky", "ring", "thumb")):
        for k in range(3):
            j = 1 + 3 * f + k
            end = _REST_TIPS[f] if k == 2 else _REST_JOINTS[j + 1]
            for t in (np.arange(_SPHERES_PER_BONE) + 0.5) / _SPHERES_PER_BONE:
                owner.append(j)
                # The tip vertex lies on the skin: the last sphere stops a radius short of it.
                stretch = 0.85 if k == 2 else 1.0
                centre.append((end - _REST_JOINTS[j]) * t * stretch)
                radius.append(1e-3 * _RADII[finger][k])
                group.append(f)
                along.append(k + t)
    knuckles = _REST_JOINTS[[1, 4, 10, 7]]
    for knuckle in knuckles:
        for t in (0.25, 0.45, 0.65, 0.85):
            owner.append(0)
            centre.append((knuckle - _REST_JOINTS[0]) * t + (0.0, -0.004, 0.0))
            radius.append(0.010)
            group.append(5)
            along.append(0.0)
    joint, part, place = np.array(owner), np.array(group), np.array(along)
    first, second = np.triu_indices(len(joint), 1)
    different = part[first] != part[second]
    # Neighbouring fingers share the web of skin, and the bases of all of them the palm.
    roots = (place[first] < 0.6) & (place[second] < 0.6)
    thumb_root = ((part[first] == 4) & (place[first] < 1.5)) | (
        (part[second] == 4) & (place[second] < 1.5)
    )
    finger_to_palm = (part[second] == 5) & (place[first] < 1.0)
    keep = different & ~roots & ~thumb_root & ~finger_to_palm
    return joint, np.array(centre), np.array(radius), np.stack([first, second], 1)[keep], part


_OWNER, _CENTRE, _RADIUS, _PAIRS, _GROUP = _rest_spheres()


def _forward(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (16,3,3) and positions (16,3) of the joints of the mean hand."""
    local = rotation_matrices(np.asarray(pose, float).reshape(16, 3))
    return down_the_tree(local, _REST_JOINTS)


def skeleton_joints(pose: np.ndarray) -> np.ndarray:
    """(21,3) joints of the mean free hand in metres: 16 joints, then the tips index, middle,
    pinky, ring, thumb (the order in which the MANO joints name the fingers)."""
    rotation, position = _forward(pose)
    ends = [3, 6, 9, 12, 15]
    tips = position[ends] + np.einsum("jab,jb->ja", rotation[ends], _REST_TIPS - _REST_JOINTS[ends])
    return np.concatenate([position, tips])


def penetration(pose: np.ndarray) -> float:
    """Deepest overlap in metres between two fingers or a finger and the palm (0 if none)."""
    rotation, position = _forward(pose)
    centre = position[_OWNER] + np.einsum("sab,sb->sa", rotation[_OWNER], _CENTRE)
    first, second = _PAIRS.T
    gap = np.linalg.norm(centre[first] - centre[second], axis=1)
    return float(max(0.0, np.max(_RADIUS[first] + _RADIUS[second] - gap)))


def is_self_colliding(pose: np.ndarray, softness: float = _SOFTNESS) -> bool:
    """Whether fingers run into each other or the palm by more than `softness` metres.

    A check by spheres on the mean hand: about 0.1 ms, blind to small differences in shape.
    """
    return penetration(pose) > softness
