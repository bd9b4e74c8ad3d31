"""One person ready for a scene: skin, clothes, hair, what the hands hold, where the hands are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..skeleton import LEFT, RIGHT
from .arm_gestures import ArmGoal
from .body import SUFFIX, BodyModel, hand_keypoints, sample_shape
from .body_pose import rest_hand_frame
from .clothes import dress, sample_outfit, skin_tone
from .heads import head_pieces, paint_skin, sample_head_style
from .held_objects import carried_box, held_object, wrist_band
from .person_pose import pose_person
from .pieces import NO_HAND, Piece

__all__ = ["Person", "make_person"]

_BARE_WRIST = 0.85  # sleeves that end before this leave the wrist free (see `Regions.arm`)
_BANDS = 0.2  # share of free wrists with a watch or a bracelet
_EYE_GROUPS = ("helper-l-eye", "helper-r-eye")


@dataclass(frozen=True)
class Person:
    """A dressed, posed person.

    Attributes:
        pieces: meshes; `hand` of the skin's faces is a side, of what the hands hold or wear None.
        keypoints: side to (21, 3) of every hand that is not in a pocket.
        palms: side to (3,), where the palm looks.
        eyes: (3,) between the eyes. chest: (3,). floor: height of the soles. gaze: (3,).
    """

    pieces: list[Piece]
    keypoints: dict[int, np.ndarray]
    palms: dict[int, np.ndarray]
    eyes: np.ndarray
    chest: np.ndarray
    floor: float
    gaze: np.ndarray

    def moved(self, rotation: np.ndarray, shift: np.ndarray) -> Person:
        """Turned by (3, 3), then shifted by (3,)."""

        def move(points: np.ndarray) -> np.ndarray:
            return points @ rotation.T + shift

        return replace(
            self,
            pieces=[piece.moved(rotation, shift) for piece in self.pieces],
            keypoints={side: move(k) for side, k in self.keypoints.items()},
            palms={side: rotation @ p for side, p in self.palms.items()},
            eyes=move(self.eyes),
            chest=move(self.chest),
            floor=self.floor + shift[2],
            gaze=rotation @ self.gaze,
        )


def make_person(
    model: BodyModel,
    rng: np.random.Generator,
    goals: dict[int, ArmGoal],
    stance: str = "stand",
    has_head: bool = True,
    wrists_from_eyes: dict[int, np.ndarray] | None = None,
    look_down: float = 0.0,
    is_mannequin: bool = False,
    child: bool | None = None,
    is_gloved: bool = False,
) -> Person:
    """Draw a person who does what `goals` say, in the body frame.

    Args:
        stance: "stand" or "sit".
        has_head: False for the person whose eyes are the camera.
        wrists_from_eyes: side to (3,) places of the wrists, metres from the eyes of the resting
            head (of the mean body; scaled to the person).
        is_mannequin: bald and of one grey or brown colour, eyes included.
        is_gloved: in gloves; without it a few are all the same.
    """
    shape = sample_shape(model, rng, child)
    tone = skin_tone(rng, shape.african)
    style = sample_head_style(rng, shape)
    outfit = sample_outfit(rng, shape, 1.0) if is_gloved else sample_outfit(rng, shape)
    eye_vertices = np.concatenate([model.group_vertices(name) for name in _EYE_GROUPS])
    wrists = None
    if wrists_from_eyes is not None:
        eyes = shape.vertices[eye_vertices].mean(0)
        scale = eyes[2] / model.vertices[eye_vertices, 2].mean()
        wrists = {side: eyes + scale * offset for side, offset in wrists_from_eyes.items()}
    body = pose_person(model, shape, rng, goals, stance, look_down, wrists)
    hidden = tuple(side for side in (LEFT, RIGHT) if goals[side].hidden)
    if is_mannequin:
        tone = np.float32(rng.choice([0.08, 0.3, 0.7])) * np.array([1, 0.95, 0.9], np.float32)
        style = replace(style, style="bald", beard=0.0, brows=0.0, eyes=tone)
    skin = paint_skin(model, tone, style, rng)
    pieces = dress(model, shape, body, outfit, skin, rng, hidden, has_head)
    if has_head:
        # Marked as no hand, unlike held things: they belong to the body.
        pieces += [
            replace(piece, hand=np.full(len(piece.faces), NO_HAND))
            for piece in head_pieces(model, shape, body, style, rng)
        ]
        if is_mannequin:
            pieces[-1] = replace(pieces[-1], albedo=np.tile(tone, (len(pieces[-1].vertices), 1)))
    keypoints, palms = {}, {}
    for side in (LEFT, RIGHT):
        wrist = body.rotations[model.bone("wrist" + SUFFIX[side])]
        back = rest_hand_frame(model, shape, side)[:, 1]
        if side == LEFT:
            back = back * [-1, 1, 1]
        palms[side] = -(wrist @ back)
        if side not in hidden:
            keypoints[side] = hand_keypoints(model, body, side)
    pieces += _things(goals, keypoints, palms, rng)
    for side in keypoints:
        is_bare = outfit.sleeve < _BARE_WRIST and outfit.glove is None
        if is_bare and rng.random() < _BANDS:
            elbow = body.joints[model.bone("lowerarm01" + SUFFIX[side])]
            pieces += wrist_band(keypoints[side][0], elbow, palms[side], rng)
    head = body.rotations[model.bone("head")]
    return Person(
        pieces=pieces,
        keypoints=keypoints,
        palms=palms,
        eyes=body.vertices[eye_vertices].mean(0),
        chest=body.joints[model.bone("spine01")],
        floor=float(body.vertices[model.group_vertices("body"), 2].min()),
        gaze=head @ np.array([0, -1.0, 0]),
    )


def _things(
    goals: dict[int, ArmGoal],
    keypoints: dict[int, np.ndarray],
    palms: dict[int, np.ndarray],
    rng: np.random.Generator,
) -> list[Piece]:
    """What the hands hold."""
    pieces = []
    if all(goal.anchor == "chest" and goal.wrist[0] > 0.15 for goal in goals.values()):
        centres = [keypoints[s][[0, 5, 9, 17]].mean(0) + 0.018 * palms[s] for s in (LEFT, RIGHT)]
        pieces += carried_box((centres[0], centres[1]), rng)
    for side, points in keypoints.items():
        goal = goals[side]
        if goal.holds and rng.random() < goal.hold_share:
            kind = goal.holds[int(rng.integers(len(goal.holds)))]
            pieces += held_object(kind, points, palms[side], rng)
    return pieces
