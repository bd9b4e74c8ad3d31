"""Lay out a scene with people: who is there, what they do, where the camera stands.

World frame: z up, the floor at z = 0, metres. The result is in the camera frame (x right, y down,
z forward), ready for `people_render`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..skeleton import LEFT, RIGHT
from .arm_gestures import GESTURES, TOUCHING, ArmGoal
from .body import BodyModel, load_body
from .body_pose import rotation_about
from .clothes import skin_tone
from .held_objects import clutter, skin_coloured_thing
from .meshes import sheet
from .people import Person, make_person
from .person_pose import deal_goals, facing, sample_goals
from .pieces import NO_HAND, Material, Piece, piece_from_mesh, rgb
from .scene_camera import Camera, camera_at, intrinsics_of, near_camera
from .texture import random_colour

__all__ = ["PeopleScene", "SceneHand", "sample_scene"]

# What is photographed, and how often.
KINDS: dict[str, float] = {
    "portrait": 0.24,
    "group": 0.18,
    "focus": 0.17,
    "touching": 0.05,
    "gloves": 0.03,
    "first_person": 0.15,
    "table": 0.08,
    "crowd": 0.04,
    "no_hands": 0.09,
}
# What the arms of a first-person view do; places come from the picture, not from the table.
_FIRST_PERSON = (
    "desk", "type", "write", "hold_round", "hold_phone", "tool", "offer", "sign_in",
    "point_forward", "thumbs_up", "talk", "fumble", "shake", "stop", "clap", "tool", "hold_phone",
)  # fmt: skip
_HANGING = GESTURES["hang"]
_Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class SceneHand:
    """One hand of a scene: its side and (21, 3) keypoints in the camera frame."""

    side: int
    keypoints: np.ndarray


@dataclass(frozen=True)
class PeopleScene:
    """A laid-out scene.

    Attributes:
        kind: one of `KINDS`.
        pieces: meshes in the camera frame; `hand` of their faces counts into `hands`.
        hands: every hand that exists, seen or not.
        intrinsics: K (3, 3) px.
    """

    kind: str
    pieces: list[Piece]
    hands: list[SceneHand]
    intrinsics: np.ndarray


def sample_scene(
    rng: np.random.Generator, width: int, height: int, kinds: Sequence[str] = tuple(KINDS)
) -> PeopleScene:
    """Draw a scene.

    Args:
        width, height: of the picture, px.
        kinds: names of `KINDS` to draw from, in its proportions.
    """
    model = load_body()
    weights = np.array([KINDS[kind] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    maker = {
        "portrait": _portrait,
        "group": _group,
        "focus": _focus,
        "touching": _touching,
        "gloves": _focus,
        "first_person": _first_person,
        "table": _table,
        "crowd": _group,
        "no_hands": _no_hands,
    }[kind]
    people, things, camera = maker(model, rng, width, height, kind)
    if rng.random() < 0.35 and kind != "first_person":
        things = [*things, _floor(rng)]
    if rng.random() < 0.12:
        things = [*things, *_foreground(rng, camera)]
    pieces: list[Piece] = []
    hands: list[SceneHand] = []
    for person in people:
        number = {}
        for side, points in person.keypoints.items():
            number[side] = len(hands)
            hands.append(SceneHand(side, camera.see(points)))
        for piece in person.pieces:
            own = piece.hand
            if own is not None:
                own = np.array([number.get(LEFT, NO_HAND), number.get(RIGHT, NO_HAND), NO_HAND])[
                    own
                ]
            pieces.append(replace(piece, vertices=camera.see(piece.vertices), hand=own))
    pieces += [replace(piece, vertices=camera.see(piece.vertices)) for piece in things]
    if not pieces:  # Embree wants a triangle: one far behind the lens is dropped later
        far = sheet(0.1, 0.1, 1).moved(np.eye(3), np.array([0, 0, 50.0]))
        pieces = [piece_from_mesh(far, np.full(3, 0.5))]
    return PeopleScene(kind, pieces, hands, camera.intrinsics)


def _stand(person: Person, place: np.ndarray, toward: np.ndarray) -> Person:
    """Put a person on the floor at `place` (2,), looking along `toward` (2,)."""
    turn = facing(np.array([toward[0], toward[1], 0.0]))
    centre = np.array([person.chest[0], person.chest[1], 0.0])
    shift = np.array([place[0], place[1], -person.floor]) - turn @ centre
    return person.moved(turn, shift)


def _random_person(
    model: BodyModel, rng: np.random.Generator, goals: dict[int, ArmGoal] | None = None, **options
) -> Person:
    stance = "sit" if rng.random() < 0.25 else "stand"
    if goals is not None:
        return make_person(model, rng, goals, stance=stance, **options)
    goals = sample_goals(rng)
    if stance == "sit" and rng.random() < 0.35:
        side = int(rng.integers(2))
        goals[side] = GESTURES["lap"]
        if rng.random() < 0.5:
            goals[1 - side] = GESTURES["lap"]
    return make_person(model, rng, goals, stance=stance, **options)


def _yaw_toward_camera(rng: np.random.Generator) -> np.ndarray:
    """Direction (2,) a person looks in; the camera is at -y. An eighth show their back."""
    yaw = rng.uniform(-np.pi, np.pi) if rng.random() < 0.25 else rng.normal(0, 0.6)
    return np.array([np.sin(yaw), -np.cos(yaw)])


def _portrait(model, rng, width, height, kind):
    people = []
    count = 1 if rng.random() < 0.72 else 2
    for k in range(count):
        person = _random_person(model, rng)
        place = np.array([k * rng.uniform(0.4, 0.7), k * rng.normal(0, 0.2)])
        people.append(_stand(person, place, _yaw_toward_camera(rng)))
    subject = people[0]
    points = [subject.chest, subject.chest, subject.eyes, *(
        k[9] for k in subject.keypoints.values()
    )]  # fmt: skip
    weights = rng.dirichlet(np.ones(len(points)))
    target = weights @ np.array(points) + rng.normal(0, 0.08, 3)
    if count == 2:
        target = 0.5 * (target + people[1].chest)
    field = rng.uniform(32, 68)
    span = np.exp(rng.uniform(np.log(0.5), np.log(1.9))) * (1.25 if count == 2 else 1.0)
    distance = span / (2 * np.tan(np.deg2rad(field) / 2))
    return people, [], camera_at(rng, target, distance, field, width, height)


def _group(model, rng, width, height, kind):
    crowd = kind == "crowd"
    count = int(rng.integers(4, 6)) if crowd else int(rng.integers(2, 5))
    people = []
    gap = rng.uniform(0.4, 0.95)
    facing_each_other = rng.random() < 0.25
    for k in range(count):
        x = (k - 0.5 * (count - 1)) * gap + rng.normal(0, 0.1)
        place = np.array([x, rng.uniform(0, 2.5 if crowd else 1.1)])
        toward = _yaw_toward_camera(rng)
        if facing_each_other:
            toward = np.array([-x, rng.normal(0, 0.4) - 0.2])
        people.append(_stand(_random_person(model, rng), place, toward))
    target = np.mean([p.chest for p in people], 0) + rng.normal(0, [0.25, 0.1, 0.2])
    field = rng.uniform(35, 70)
    span = count * gap * rng.uniform(0.65, 1.25) + rng.uniform(0.2, 0.9)
    span = span * (1.3 if crowd else 1.0)
    distance = span / (2 * np.tan(np.deg2rad(field) / 2)) + 0.6
    return people, [], camera_at(rng, target, distance, field, width, height)


def _focus(model, rng, width, height, kind):
    """A hand from near by, bare or gloved, with whatever of the person is around it."""
    person = _random_person(model, rng, is_gloved=kind == "gloves")
    person = _stand(person, np.zeros(2), _yaw_toward_camera(rng))
    sides = list(person.keypoints)
    if not sides:
        return _portrait(model, rng, width, height, kind)
    points = person.keypoints[sides[int(rng.integers(len(sides)))]]
    if len(sides) == 2 and rng.random() < 0.25:
        points = np.concatenate([person.keypoints[side] for side in sides])
    return [person], [], near_camera(rng, person, points, width, height)


def _touching(model, rng, width, height, kind):
    """Two hands of a person on one another, from near by."""
    goals = deal_goals(rng, *TOUCHING[int(rng.integers(len(TOUCHING)))])
    person = _random_person(model, rng, goals)
    person = _stand(person, np.zeros(2), _yaw_toward_camera(rng))
    points = np.concatenate(list(person.keypoints.values()))
    return [person], [], near_camera(rng, person, points, width, height)


def _first_person(model, rng, width, height, kind):
    """Two forearms, seen from the eyes they belong to."""
    field = rng.uniform(55, 100)
    intrinsics = intrinsics_of(field, width, height)
    pitch = rng.uniform(0.05, 1.1)
    yaw = rng.normal(0, 0.2)
    # Rows right, down, forward in the body frame (x left, y back), before and after the nod.
    nod = rotation_about(np.array([1.0, 0, 0]), pitch)
    turn = rotation_about(_Z, yaw) @ nod
    level = np.stack([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
    rotation = level @ turn.T
    goals, wrists = {}, {}
    together = rng.random() < 0.3
    shared = np.array([rng.uniform(0.3, 0.7) * width, rng.uniform(0.35, 0.8) * height])
    for side in (LEFT, RIGHT):
        goals[side] = _first_person_goal(rng)
        low, high = (0.05, 0.55) if side == LEFT else (0.45, 0.95)
        pixel = np.array([rng.uniform(low, high) * width, rng.uniform(0.3, 0.95) * height])
        depth = rng.uniform(0.28, 0.52)
        if together:
            offset = (-0.1 if side == LEFT else 0.1) * width * rng.uniform(0.6, 1.3)
            pixel = shared + np.array([offset, rng.normal(0, 0.05) * height])
            depth = 0.4
        if rng.random() < 0.12:  # this hand stays out of the picture
            pixel, depth = np.array([rng.choice([-0.5, 1.5]) * width, 1.4 * height]), 0.3
        ray = np.linalg.solve(intrinsics, [pixel[0], pixel[1], 1.0])
        wrists[side] = (ray / np.linalg.norm(ray) * depth) @ rotation + [0, -0.02, 0]
    person = make_person(
        model, rng, goals, "stand", has_head=False, wrists_from_eyes=wrists, look_down=0.0
    )
    # The head itself is not nodded: the camera is, about the eyes.
    eye = person.eyes + np.array([0, -0.02, 0]) + rng.normal(0, 0.01, 3)
    camera = Camera(eye, rotation, intrinsics)
    things = []
    if rng.random() < 0.5:
        top = min(k[:, 2].min() for k in person.keypoints.values()) - rng.uniform(0.0, 0.06)
        top = min(top, person.eyes[2] - 0.3)
        things = _table_top(rng, np.array([0.0, person.chest[1] - 0.65]), top)
    return [person], things, camera


def _first_person_goal(rng: np.random.Generator) -> ArmGoal:
    goal = GESTURES[_FIRST_PERSON[int(rng.integers(len(_FIRST_PERSON)))]]
    if rng.random() < 0.35:  # any turn the wrist allows
        return replace(
            goal,
            fingers=tuple(np.array([-0.3, 1, 0.2]) + rng.normal(0, 0.4, 3)),
            palm=tuple(rng.normal(0, 1, 3)),
        )
    return goal


def _table_top(rng: np.random.Generator, centre: np.ndarray, height: float) -> list[Piece]:
    """A table top around `centre` (2,) with things on it."""
    size = rng.uniform([0.9, 0.6], [1.8, 1.0])
    wood = rng.random() < 0.5
    colour = np.array([0.3, 0.16, 0.08]) * rng.uniform(0.3, 1.6) if wood else random_colour(rng)
    material = Material(
        "grain" if wood else "plain",
        rgb(np.clip(colour * 0.55, 0, 1)),
        0.08,
        noise=0.05,
        noise_size=0.01,
        gloss=float(rng.uniform(0, 0.5)),
    )
    top = sheet(float(size[0]), float(size[1]), 26).moved(np.eye(3), np.array([*centre, height]))
    pieces = [piece_from_mesh(top, colour, material)]
    for _ in range(int(rng.integers(0, 5))):
        place = centre + rng.uniform(-0.45, 0.45, 2) * size - [0, 0.1]
        shift = np.array([*place, height])
        pieces += [p.moved(np.eye(3), shift) for p in clutter(rng, rng.uniform(0.06, 0.35))]
    return pieces


def _table(model, rng, width, height, kind):
    """People at a table, from the front or from above."""
    count = int(rng.integers(1, 3))
    people = []
    desk = ("desk", "type", "write", "hold_phone", "hold_round", "fumble", "chin", "cheek", "eat")
    for k in range(count):
        goals = {side: GESTURES[desk[int(rng.integers(len(desk)))]] for side in (LEFT, RIGHT)}
        person = make_person(model, rng, goals, "sit", look_down=rng.uniform(0, 0.5))
        people.append(
            _stand(person, np.array([0.75 * k, rng.normal(0, 0.05)]), np.array([0, -1.0]))
        )
    points = np.concatenate([k for p in people for k in p.keypoints.values()])
    lowest = np.percentile(points[:, 2], 3)
    top = min(lowest, people[0].chest[2] - 0.25) - 0.015
    centre = np.array([people[0].chest[0], people[0].chest[1] - 0.52])
    things = _table_top(rng, centre, float(top))
    target = np.array([points[:, 0].mean(), points[:, 1].mean(), top + 0.1])
    target = target + rng.normal(0, 0.08, 3)
    field = rng.uniform(40, 75)
    span = rng.uniform(0.6, 1.4) * (1 + 0.4 * (count - 1))
    distance = span / (2 * np.tan(np.deg2rad(field) / 2)) + 0.1
    pitch = rng.uniform(0.1, 1.45)
    return people, things, camera_at(rng, target, distance, field, width, height, pitch)


def _no_hands(model, rng, width, height, kind):
    """Pictures without a hand that look as if there were one."""
    case = rng.random()
    if case < 0.2:  # nobody, but things in the colours of skin
        things = []
        for _ in range(int(rng.integers(1, 7))):
            tone = skin_tone(rng, rng.random())
            place = rng.normal([0, 0, 1.0], [0.25, 0.2, 0.2])
            things += [p.moved(np.eye(3), place) for p in skin_coloured_thing(rng, tone)]
        camera = camera_at(rng, _Z, rng.uniform(0.6, 1.5), rng.uniform(35, 60), width, height)
        return [], things, camera
    mannequin = rng.random() < 0.15
    hidden = case > 0.45
    goals = sample_goals(rng, hidden=True) if hidden else dict.fromkeys((LEFT, RIGHT), _HANGING)
    stance = "sit" if rng.random() < 0.3 else "stand"
    person = make_person(model, rng, goals, stance, is_mannequin=mannequin)
    person = _stand(person, np.zeros(2), _yaw_toward_camera(rng))
    if hidden and rng.random() < 0.6:
        target, span = person.chest - [0, 0, rng.uniform(0, 0.3)], rng.uniform(0.7, 1.8)
    elif rng.random() < 0.5:  # a face
        target, span = person.eyes + rng.normal(0, 0.03, 3), rng.uniform(0.25, 0.5)
    else:  # feet
        target = np.array([person.chest[0], person.chest[1], rng.uniform(0.05, 0.3)])
        span = rng.uniform(0.3, 0.7)
    people = [person]
    if not hidden:  # take the hands off: nothing may be labelled, so nothing may be seen
        people = [_without_hands(person)]
    field = rng.uniform(35, 65)
    distance = span / (2 * np.tan(np.deg2rad(field) / 2)) + 0.1
    return people, [], camera_at(rng, target, distance, field, width, height)


def _without_hands(person: Person) -> Person:
    """The same person with both hands and all they hold or wear left out; in close-ups only."""
    pieces = []
    for piece in person.pieces:
        if piece.hand is None:
            continue
        kept = piece.hand == NO_HAND
        pieces.append(replace(piece, faces=piece.faces[kept], hand=piece.hand[kept]))
    return replace(person, pieces=pieces, keypoints={})


def _floor(rng: np.random.Generator) -> Piece:
    kind = ("plain", "checks", "grain", "plaid")[int(rng.integers(4))]
    colour = random_colour(rng)
    second = np.clip(colour * np.exp(rng.normal(0, 0.4)), 0.01, 0.9)
    material = Material(kind, rgb(second), rng.uniform(0.1, 0.6), noise=0.08, noise_size=0.03)
    return piece_from_mesh(sheet(12.0, 12.0, 60), colour, material)


def _foreground(rng: np.random.Generator, camera: Camera) -> list[Piece]:
    """Something out of focus range that stands between the camera and the people."""
    size = rng.uniform(0.1, 0.3)
    place = rng.uniform([-0.35, -0.3, 0.5], [0.35, 0.4, 0.9]) @ camera.rotation + camera.eye
    return [p.moved(np.eye(3), place) for p in clutter(rng, size)]
