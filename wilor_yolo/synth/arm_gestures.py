"""What people do with their arms: goals for wrist, fingers and palm, as a table.

Places and directions are `(out, forward, up)` in the frame of the chest: out is away from the
other arm. Lengths are metres for an arm of `ARM_LENGTH`, and scaled to the person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .poses import NAMED_POSES, sample_pose

__all__ = [
    "ARM_LENGTH",
    "GESTURES",
    "PAIRS",
    "SINGLES",
    "TOUCHING",
    "ArmGoal",
    "hand_pose",
    "jittered",
]

ARM_LENGTH = 0.518  # shoulder to wrist of the mean body


@dataclass(frozen=True)
class ArmGoal:
    """One arm's part of a gesture.

    Attributes:
        anchor: a place of the body: shoulder, hip, thigh (own side), chin, cheek, ear, crown,
            chest, belly, back (middle of the body).
        wrist: where the wrist is, from the anchor.
        fingers, palm: where the fingers point and the palm looks.
        elbow: direction in which the elbow sticks out.
        poses: names of hand poses to draw from; empty: any pose.
        holds: objects the hand may hold, drawn in `hold_share` of the cases.
        hidden: the hand is inside something (a pocket) and is not drawn.
    """

    anchor: str
    wrist: tuple[float, float, float]
    fingers: tuple[float, float, float]
    palm: tuple[float, float, float]
    elbow: tuple[float, float, float] = (0.6, -0.3, -0.8)
    poses: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    hold_share: float = 0.0
    hidden: bool = False


_OPEN = ("flat", "spread", "flat_together", "relaxed")
_REST = ("relaxed", "relaxed", "flat_together", "loose_fist")
_SIGNS = (
    "flat", "spread", "point", "victory", "three", "ok", "call", "horns", "thumbs_up", "fist",
    "gun", "pinch", "claw", "flat_together",
)  # fmt: skip
_GRIP = ("grasp_cylinder", "grasp_cylinder", "fist", "loose_fist")
_ROUND = ("can", "cup", "bottle", "glass")
_STICKS = ("hammer", "screwdriver", "knife", "stick", "brush")
_THIN = ("phone", "card", "book", "paper")

GESTURES: dict[str, ArmGoal] = {
    "hang": ArmGoal(
        "shoulder", (0.10, 0.05, -0.49), (0, 0.1, -1), (-1, 0, 0), (0.4, -0.9, 0), _REST,
        ("bag", *_STICKS, "bottle"), 0.2,
    ),
    "hang_bent": ArmGoal(
        "shoulder", (0.08, 0.2, -0.42), (-0.1, 0.6, -0.9), (-1, 0.1, -0.2), (0.5, -0.9, 0), _REST,
        _STICKS + _ROUND, 0.2,
    ),
    "hip": ArmGoal(
        "hip", (0.08, 0.0, 0.11), (-0.35, 0.8, -0.4), (-0.9, -0.3, -0.1), (1, -0.5, 0),
        ("flat", "relaxed", "fist", "spread"),
    ),
    "hip_back": ArmGoal(
        "hip", (0.07, -0.03, 0.11), (-0.4, -0.7, -0.5), (-0.9, 0.3, 0), (1, -0.3, 0),
        ("relaxed", "fist", "flat"),
    ),
    "desk": ArmGoal(
        "shoulder", (-0.02, 0.38, -0.33), (-0.3, 1, -0.05), (0, 0, -1), (0.8, -0.4, -0.4),
        ("flat", "relaxed", "flat_together", "loose_fist", "spread", "point"),
    ),
    "type": ArmGoal(
        "shoulder", (-0.05, 0.36, -0.3), (-0.2, 1, -0.1), (0, 0, -1), (0.8, -0.4, -0.5),
        ("relaxed", "claw", "tabletop", "loose_fist"),
    ),
    "write": ArmGoal(
        "shoulder", (-0.06, 0.34, -0.32), (-0.5, 0.9, -0.2), (-0.7, 0, -0.7), (0.9, -0.3, -0.4),
        ("tripod", "pinch", "tripod"), ("pen",), 0.85,
    ),
    "lap": ArmGoal(
        "thigh", (-0.02, -0.02, 0.05), (-0.35, 1, -0.1), (0, 0, -1), (0.9, -0.4, 0),
        ("relaxed", "flat", "loose_fist", "flat_together"), ("phone",), 0.1,
    ),
    "chin": ArmGoal(
        "chin", (0.03, 0.075, -0.11), (-0.2, -0.2, 1), (-0.2, -1, 0.2), (0.3, 0.2, -1),
        ("loose_fist", "relaxed", "thumbs_up", "gun", "point", "fist"),
    ),
    "cheek": ArmGoal(
        "cheek", (0.045, 0.03, -0.11), (0.0, -0.2, 1), (-1, -0.3, 0), (0.4, 0.3, -1),
        ("relaxed", "flat", "fist", "loose_fist", "point"),
    ),
    "face": ArmGoal(
        "chin", (0.05, 0.12, -0.06), (-0.4, -0.4, 1), (-0.3, -1, 0), (0.6, 0.1, -1),
        ("flat_together", "relaxed", "spread", "pinch", "point"),
    ),
    "ear": ArmGoal(
        "ear", (0.055, 0.05, -0.09), (-0.1, -0.25, 1), (-1, 0, 0), (0.7, 0.4, -1),
        ("grasp_cylinder", "relaxed", "loose_fist"), ("phone",), 0.75,
    ),
    "glasses": ArmGoal(
        "cheek", (0.11, 0.09, -0.03), (-0.7, -0.3, 0.7), (-0.3, -0.9, -0.2), (0.9, 0, -0.6),
        ("pinch", "key_pinch", "point", "relaxed"),
    ),
    "eat": ArmGoal(
        "chin", (0.08, 0.13, -0.07), (-0.6, -0.5, 0.6), (-0.5, -0.7, -0.2), (0.9, 0, -0.8),
        ("pinch", "tripod", "key_pinch", "grasp_cylinder"), ("cup", "glass", "pen", "ball"), 0.6,
    ),
    "scratch": ArmGoal(
        "crown", (0.13, 0.0, -0.06), (-0.8, -0.2, 0.6), (-0.6, 0, -0.8), (1, 0.2, 0),
        ("claw", "relaxed", "spread", "flat"),
    ),
    "behind_head": ArmGoal(
        "crown", (0.14, -0.10, -0.10), (-1, -0.3, 0.1), (-0.1, 1, 0), (1, 0, 0.5),
        ("relaxed", "flat_together"),
    ),
    "fold_over": ArmGoal(
        "chest", (-0.10, 0.12, -0.10), (-1, -0.1, 0.2), (0, -1, 0), (0.6, 0.3, -1),
        ("flat_together", "relaxed", "loose_fist"),
    ),
    "fold_under": ArmGoal(
        "chest", (-0.06, 0.07, -0.14), (-1, -0.3, 0.2), (0, -1, 0), (0.6, 0.3, -1),
        ("flat_together", "relaxed", "fist"),
    ),
    "clasp_under": ArmGoal(
        "belly", (0.055, 0.10, -0.06), (-0.6, 0.35, -0.6), (-0.5, -0.7, 0), (0.8, -0.4, 0),
        ("relaxed", "loose_fist", "fist"),
    ),
    "clasp_over": ArmGoal(
        "belly", (0.05, 0.145, -0.05), (-0.7, 0.3, -0.5), (-0.5, -0.8, 0), (0.8, -0.4, 0),
        ("relaxed", "flat_together", "grasp_cylinder"),
    ),
    "pray": ArmGoal(
        "chest", (0.014, 0.16, -0.04), (-0.04, 0.25, 1), (-1, 0, 0), (1, 0, -0.5),
        ("flat_together", "flat", "flat_together", "relaxed"),
    ),
    "clap": ArmGoal(
        "chest", (0.09, 0.24, 0.0), (-0.1, 0.6, 0.8), (-1, 0.1, 0), (1, 0, -0.6),
        ("flat", "spread", "flat_together", "relaxed"),
    ),
    "interlock": ArmGoal(
        "chest", (0.06, 0.2, -0.05), (-0.75, 0.5, 0.45), (-0.6, -0.7, 0), (0.9, 0, -0.7),
        ("loose_fist", "relaxed", "hook"),
    ),
    "fumble": ArmGoal(
        "chest", (0.08, 0.25, -0.12), (-0.7, 0.7, 0.3), (-0.4, -0.8, 0.3), (0.9, -0.1, -0.7),
        ("pinch", "tripod", "point", "key_pinch", "relaxed"), ("card", "ball", "pen"), 0.3,
    ),
    "stack_under": ArmGoal(
        "chest", (0.10, 0.22, -0.16), (-0.95, 0.35, 0), (0, -0.1, 1), (0.8, -0.3, -0.6),
        ("flat", "flat_together", "relaxed"),
    ),
    "stack_over": ArmGoal(
        "chest", (0.09, 0.25, -0.07), (-0.9, 0.35, 0.2), (-0.4, -0.5, -0.7), (0.8, -0.2, -0.6),
        ("fist", "flat_together", "flat", "victory", "loose_fist", "thumbs_up", "point"),
    ),
    "gripped": ArmGoal(
        "chest", (-0.02, 0.22, -0.14), (-1, 0.2, 0.1), (0, -0.5, -0.9), (0.8, -0.1, -0.7),
        ("fist", "loose_fist", "relaxed", "flat_together", "spread"),
    ),
    "grip": ArmGoal(
        "chest", (0.06, 0.26, -0.07), (-0.85, 0.1, -0.35), (-0.2, -0.4, -0.9), (1, 0, -0.3),
        ("grasp_cylinder", "grasp_cylinder", "hook", "loose_fist"),
    ),
    "cross_front": ArmGoal(
        "chest", (0.06, 0.28, -0.02), (-0.65, 0.1, 0.75), (-0.2, -1, 0), (0.9, 0, -0.6),
        ("spread", "claw", "flat", "horns", "victory", "three"),
    ),
    "cross_back": ArmGoal(
        "chest", (0.07, 0.21, 0.06), (-0.85, 0.15, -0.2), (-0.1, 1, 0), (1, 0, 0),
        ("spread", "claw", "flat", "horns", "victory", "three"),
    ),
    "wave": ArmGoal(
        "shoulder", (0.18, 0.16, 0.2), (0.05, 0.05, 1), (-0.1, 1, 0), (0.7, -0.2, -1), _OPEN,
    ),
    "sign": ArmGoal(
        "shoulder", (0.0, 0.25, -0.05), (-0.15, 0.2, 1), (-0.2, 1, 0), (0.6, -0.2, -1), _SIGNS,
    ),
    "sign_in": ArmGoal(
        "shoulder", (-0.06, 0.25, -0.1), (-0.6, 0.3, 0.8), (-0.4, -1, 0), (0.8, -0.1, -1), _SIGNS,
    ),
    "stop": ArmGoal(
        "shoulder", (-0.02, 0.42, 0.04), (0, 0.2, 1), (0, 1, 0), (0.6, -0.2, -0.8), _OPEN,
    ),
    "point_forward": ArmGoal(
        "shoulder", (-0.02, 0.44, 0), (-0.1, 1, 0.1), (-0.6, 0, -0.8), (0.8, 0, -0.7),
        ("point", "point", "gun", "flat_together"),
    ),
    "point_side": ArmGoal(
        "shoulder", (0.42, 0.2, 0.08), (1, 0.3, 0.1), (0, 0.4, -1), (0, -0.4, -1),
        ("point", "point", "flat_together", "gun"),
    ),
    "point_up": ArmGoal(
        "shoulder", (0.12, 0.18, 0.18), (-0.05, 0.1, 1), (-0.2, 1, 0), (0.8, -0.1, -1),
        ("point", "victory", "three", "horns", "fist", "gun"),
    ),
    "shake": ArmGoal(
        "shoulder", (-0.04, 0.42, -0.2), (-0.15, 1, 0), (-1, 0, 0), (0.5, -0.3, -0.8),
        ("flat_together", "flat", "grasp_cylinder"),
    ),
    "offer": ArmGoal(
        "shoulder", (0.02, 0.36, -0.22), (-0.1, 1, 0.1), (-0.1, 0, 1), (0.4, -0.4, -1),
        ("flat", "relaxed", "spread", "grasp_ball"), ("ball", "phone", "plate", "card"), 0.4,
    ),
    "shrug": ArmGoal(
        "shoulder", (0.26, 0.22, -0.2), (0.8, 0.6, 0.15), (-0.1, 0.3, 1), (-0.1, -0.5, -1), _OPEN,
    ),
    "thumbs_up": ArmGoal(
        "shoulder", (-0.02, 0.34, -0.08), (-0.7, 0.6, 0.05), (-0.7, -0.7, 0), (0.8, -0.2, -0.8),
        ("thumbs_up", "thumbs_up", "call"),
    ),
    "talk": ArmGoal(
        "shoulder", (0.05, 0.3, -0.2), (-0.4, 0.9, 0.3), (-0.8, 0, 0.3), (0.6, -0.4, -0.9),
    ),
    "hold_round": ArmGoal(
        "shoulder", (-0.05, 0.29, -0.18), (-0.55, 0.85, 0), (-0.85, -0.5, 0), (0.7, -0.3, -0.8),
        _GRIP[:2], _ROUND, 0.95,
    ),
    "hold_phone": ArmGoal(
        "shoulder", (-0.06, 0.28, -0.12), (-0.35, 0.45, 0.85), (-0.25, -0.9, 0.4),
        (0.7, -0.2, -0.9), ("grasp_cylinder", "relaxed"), _THIN, 0.9,
    ),
    "tool": ArmGoal(
        "shoulder", (-0.02, 0.35, -0.18), (-0.6, 0.75, 0), (-0.7, -0.6, 0), (0.8, -0.3, -0.7),
        _GRIP, _STICKS, 0.9,
    ),
    "carry": ArmGoal(
        "chest", (0.17, 0.27, -0.2), (-0.15, 1, -0.1), (-1, 0, 0.15), (0.6, -0.6, -0.6),
        ("flat", "relaxed", "spread"),
    ),
    "hug": ArmGoal(
        "chest", (-0.12, 0.08, 0.0), (-1, -0.3, 0.5), (0.1, -1, 0), (0.7, 0.5, -0.7),
        ("flat", "flat_together", "relaxed"),
    ),
    "heart": ArmGoal(
        "chest", (0.08, 0.09, 0.0), (-1, 0, 0.25), (0, -1, 0), (0.9, 0, -0.6),
        ("flat_together", "fist", "flat"),
    ),
    "overhead": ArmGoal(
        "shoulder", (0.1, 0.06, 0.45), (-0.1, 0, 1), (-0.3, 1, 0), (1, 0.2, 0), (*_OPEN, "fist"),
    ),
    "sideways": ArmGoal(
        "shoulder", (0.46, 0.05, 0.03), (1, 0.05, 0), (0, 0.5, -1), (0, -0.4, -1),
        (*_OPEN, "fist", "thumbs_up"),
    ),
    "watch": ArmGoal(
        "chest", (-0.02, 0.2, -0.02), (-1, 0.2, 0.1), (0, -0.3, -1), (0.8, 0.4, -0.5),
        ("loose_fist", "relaxed", "fist"),
    ),
    "pocket": ArmGoal(
        "hip", (0.065, 0.03, 0.0), (-0.1, 0.3, -1), (-1, 0, 0), (1, -0.7, 0), ("relaxed",),
        hidden=True,
    ),
    "behind_back": ArmGoal(
        "back", (0.06, -0.05, -0.03), (-1, -0.1, -0.1), (0, -1, 0), (0.9, -1, 0),
        ("relaxed", "loose_fist"),
    ),
}  # fmt: skip

# How often one arm does a thing by itself.
SINGLES: dict[str, float] = {
    "hang": 3, "hang_bent": 2, "hip": 1.5, "hip_back": 0.5, "desk": 1, "type": 0.5, "write": 1,
    "chin": 1.2, "cheek": 1.2, "face": 1, "ear": 1.5, "glasses": 0.7, "eat": 1.2, "scratch": 0.5,
    "wave": 2.5, "sign": 3, "sign_in": 2, "stop": 1.5, "point_forward": 1, "point_side": 1,
    "point_up": 1.5, "shake": 1, "offer": 1, "shrug": 1, "thumbs_up": 1.5, "talk": 3,
    "hold_round": 2, "hold_phone": 2.5, "tool": 2, "heart": 0.5, "overhead": 1, "sideways": 0.8,
    "watch": 0.5, "pocket": 0.5, "behind_back": 0.3,
}  # fmt: skip

# What both arms do together, and how often.
PAIRS: tuple[tuple[str, str, float], ...] = (
    ("fold_over", "fold_under", 2.0),
    ("clasp_over", "clasp_under", 2.0),
    ("pray", "pray", 1.0),
    ("clap", "clap", 1.2),
    ("interlock", "interlock", 1.0),
    ("fumble", "fumble", 1.5),
    ("stack_over", "stack_under", 0.8),
    ("grip", "gripped", 0.6),
    ("cross_front", "cross_back", 0.3),
    ("hip", "hip", 1.0),
    ("type", "type", 1.5),
    ("desk", "desk", 1.0),
    ("hold_phone", "sign_in", 1.0),
    ("carry", "carry", 1.0),
    ("hug", "hug", 0.3),
    ("shrug", "shrug", 0.7),
    ("wave", "wave", 0.7),
    ("overhead", "overhead", 0.6),
    ("behind_head", "behind_head", 0.4),
    ("cheek", "cheek", 0.5),
    ("face", "face", 0.5),
    ("sign", "sign", 1.2),
    ("talk", "talk", 1.2),
)


# The pairs whose hands touch, or nearly.
TOUCHING: tuple[tuple[str, str], ...] = (
    ("clasp_over", "clasp_under"),
    ("pray", "pray"),
    ("clap", "clap"),
    ("interlock", "interlock"),
    ("fumble", "fumble"),
    ("stack_over", "stack_under"),
    ("grip", "gripped"),
    ("cross_front", "cross_back"),
    ("fold_over", "fold_under"),
    ("heart", "heart"),
)


def jittered(goal: ArmGoal, rng: np.random.Generator, amount: float = 1.0) -> ArmGoal:
    """The same goal as another person would do it."""
    close = goal.anchor in ("chest", "belly", "chin", "cheek", "ear", "hip", "back")
    place = np.array(goal.wrist) + amount * rng.normal(0, 0.012 if close else 0.035, 3)
    return replace(
        goal,
        wrist=tuple(place),
        fingers=tuple(np.array(goal.fingers) + amount * rng.normal(0, 0.16, 3)),
        palm=tuple(np.array(goal.palm) + amount * rng.normal(0, 0.18, 3)),
        elbow=tuple(np.array(goal.elbow) + amount * rng.normal(0, 0.25, 3)),
    )


def hand_pose(goal: ArmGoal, rng: np.random.Generator) -> np.ndarray:
    """(16, 3) axis-angle of the fingers for a goal (see `poses.py`)."""
    if not goal.poses or rng.random() < 0.12:
        return sample_pose(rng)
    pose = NAMED_POSES[goal.poses[int(rng.integers(len(goal.poses)))]].copy()
    pose[1:] *= rng.normal(1.0, 0.08)
    pose[1:] += rng.normal(0, 0.035, (15, 3))
    return pose
