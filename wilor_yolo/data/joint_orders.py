"""Joint orders of other data sets.

Each permutation picks our 21 joints (OpenPose: wrist, then thumb to little finger, palm to tip)
out of theirs: ``ours = theirs[PERMUTATION]``.
"""

from __future__ import annotations

from ..skeleton import MANO_TO_OPENPOSE

__all__ = ["HO3D_TO_OPENPOSE", "INTERHAND_TO_OPENPOSE", "MISTAKEN_ORDERS"]

# HO3D and H2O3D: the 16 MANO joints (wrist, index, middle, little, ring, thumb), then the five
# tips from thumb to little finger.
HO3D_TO_OPENPOSE = MANO_TO_OPENPOSE

# InterHand2.6M: thumb to little finger, each from tip to palm, then the wrist.
INTERHAND_TO_OPENPOSE = (20, *(4 * finger + k for finger in range(5) for k in (3, 2, 1, 0)))

# What joints that are called ours are by mistake most often: they would need one of these.
MISTAKEN_ORDERS = {
    "HO3D's order (MANO's joints, then tips)": HO3D_TO_OPENPOSE,
    "our order converted as if it were HO3D's": tuple(
        MANO_TO_OPENPOSE.index(i) for i in range(len(MANO_TO_OPENPOSE))
    ),
    "InterHand2.6M's order (tips first, wrist last)": INTERHAND_TO_OPENPOSE,
    "fingers from tip to palm": (0, *(4 * f + k for f in range(5) for k in (4, 3, 2, 1))),
    "fingers from little finger to thumb": (
        0,
        *(4 * f + k for f in (4, 3, 2, 1, 0) for k in (1, 2, 3, 4)),
    ),
    "the wrist last": (20, *range(20)),
}
