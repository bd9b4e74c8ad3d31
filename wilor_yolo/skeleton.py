"""The 21 hand joints, the two sides, and how other joint orders map to ours.

Joint order is that of OpenPose and MediaPipe: wrist, then four joints of the thumb, index,
middle, ring and little finger from palm to tip. The same order holds for both hands: mirroring a
hand swaps its side and keeps every joint at its index.
"""

from __future__ import annotations

__all__ = [
    "EDGES",
    "FINGERS",
    "FINGER_COLOURS",
    "JOINT_NAMES",
    "LEFT",
    "MANO_JOINT_NAMES",
    "MANO_PARENTS",
    "MANO_TO_OPENPOSE",
    "NUM_JOINTS",
    "NUM_VERTICES",
    "RIGHT",
    "SIDE_COLOURS",
    "SIDE_NAMES",
    "TIP_VERTICES",
]

LEFT, RIGHT = 0, 1
SIDE_NAMES = {LEFT: "left", RIGHT: "right"}

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
JOINT_NAMES = ("wrist", *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3, 4)))
NUM_JOINTS = len(JOINT_NAMES)

# Edge 4 * i + k is the k-th bone of FINGERS[i], counted from the wrist.
EDGES = tuple(
    (0 if k == 0 else 4 * i + k, 4 * i + k + 1) for i in range(len(FINGERS)) for k in range(4)
)

FINGER_COLOURS = {  # RGB, apart from each other for colour-blind readers too
    "thumb": (230, 75, 53),
    "index": (240, 170, 30),
    "middle": (60, 180, 75),
    "ring": (40, 150, 220),
    "pinky": (160, 90, 220),
}
SIDE_COLOURS = {LEFT: (66, 135, 245), RIGHT: (245, 147, 66)}  # RGB

# MANO: 16 joints, 778 vertices; finger tips are vertices of the mesh.
NUM_VERTICES = 778
_MANO_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
MANO_JOINT_NAMES = ("wrist", *(f"{finger}{k}" for finger in _MANO_FINGERS for k in (1, 2, 3)))
MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
TIP_VERTICES = (744, 320, 443, 554, 671)  # thumb, index, middle, ring, pinky
# Picks the 21 joints out of the 16 MANO joints followed by the 5 tips.
MANO_TO_OPENPOSE = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
