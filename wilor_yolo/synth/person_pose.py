"""A whole person in a pose: torso, head, legs, and two arms that do something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..skeleton import LEFT, RIGHT
from .arm_gestures import ARM_LENGTH, GESTURES, PAIRS, SINGLES, ArmGoal, hand_pose, jittered
from .body import SUFFIX, BodyModel, BodyShape, PosedBody, bone_frames, pose_body
from .body_pose import (
    ArmReach,
    align,
    finger_rotations,
    hand_rotation,
    rotation_about,
    solve_arm,
    unit,
)
from .body_regions import body_regions

__all__ = ["deal_goals", "pose_person", "sample_goals", "stance_rotations"]

_X, _Y, _Z = np.eye(3)
_ACCEPTED_COST = 1.1  # of an arm; dearer ones are drawn again
_TRIES = 4
_SEPARATIONS = 5  # rounds of moving hands out of each other and of the head
_TOUCH = 0.004  # metres hands may sink into each other


def sample_goals(rng: np.random.Generator, hidden: bool = False) -> dict[int, ArmGoal]:
    """What the two arms do.

    Args:
        hidden: both hands out of sight (pockets, behind the back).
    """
    if hidden:
        name = "pocket" if rng.random() < 0.6 else "behind_back"
        return deal_goals(rng, name, name)
    if rng.random() < 0.42:
        weights = np.array([pair[2] for pair in PAIRS])
        pair = PAIRS[int(rng.choice(len(PAIRS), p=weights / weights.sum()))]
        return deal_goals(rng, pair[0], pair[1])
    weights = np.array(list(SINGLES.values()))
    keys = list(SINGLES)
    names = [keys[int(rng.choice(len(keys), p=weights / weights.sum()))] for _ in range(2)]
    return deal_goals(rng, *names)


def deal_goals(rng: np.random.Generator, first: str, second: str) -> dict[int, ArmGoal]:
    """Two gestures by their names, one for each arm; which gets which is drawn."""
    sides = (LEFT, RIGHT) if rng.random() < 0.5 else (RIGHT, LEFT)
    return {side: GESTURES[name] for side, name in zip(sides, (first, second), strict=True)}


def stance_rotations(
    rng: np.random.Generator, stance: str, look_down: float = 0.0
) -> dict[str, np.ndarray]:
    """World rotations of torso, head and legs.

    Args:
        stance: "stand" or "sit".
        look_down: radians added to the head's nod.
    """
    lean = rng.normal(0.05, 0.08) + (0.08 if stance == "sit" else 0)
    turn = rng.normal(0, 0.12)
    # Leaning forward is a turn about +x: the up axis moves towards -y, the front.
    low = rotation_about(_X, 0.5 * lean) @ rotation_about(_Y, rng.normal(0, 0.04))
    high = (
        rotation_about(_Z, turn)
        @ rotation_about(_X, lean)
        @ rotation_about(_Y, rng.normal(0, 0.06))
    )
    head = (
        rotation_about(_Z, turn + rng.normal(0, 0.35))
        @ rotation_about(_X, rng.normal(0.08, 0.2) + look_down)
        @ rotation_about(_Y, rng.normal(0, 0.1))
    )
    halfway = rotation_about(_Z, 0.5 * turn) @ rotation_about(_X, 0.6 * lean + 0.4 * look_down)
    rotations = {"spine04": low, "spine02": high, "neck01": halfway, "head": head}
    walk = rng.normal(0, 0.18)
    for side in (LEFT, RIGHT):
        s = SUFFIX[side]
        sign = 1.0 if side == LEFT else -1.0
        if stance == "sit":
            thigh = rotation_about(_Z, sign * rng.uniform(-0.05, 0.35)) @ rotation_about(
                _X, -rng.uniform(1.3, 1.6)
            )
            shin = rotation_about(_X, rng.uniform(-0.35, 0.3))
        else:
            step = sign * walk + rng.normal(0, 0.05)
            thigh = rotation_about(_X, step) @ rotation_about(_Y, sign * rng.uniform(-0.02, 0.12))
            shin = rotation_about(_X, step + abs(rng.normal(0, 0.12)))
        rotations["upperleg01" + s] = thigh
        rotations["lowerleg01" + s] = shin
        rotations["foot" + s] = np.eye(3)
    return rotations


def pose_person(
    model: BodyModel,
    shape: BodyShape,
    rng: np.random.Generator,
    goals: dict[int, ArmGoal],
    stance: str = "stand",
    look_down: float = 0.0,
    wrists: dict[int, np.ndarray] | None = None,
) -> PosedBody:
    """Pose a person.

    Args:
        goals: what each arm does; the fingers are drawn here.
        stance: "stand" or "sit".
        wrists: side to (3,) positions in the body frame, instead of the goals' own places.

    Returns:
        Skinned vertices and joints, body frame.
    """
    rotations = stance_rotations(rng, stance, look_down)
    for side in (LEFT, RIGHT):  # a raised arm lifts the collar bone
        if goals[side].anchor == "shoulder" and goals[side].wrist[2] > 0.15:
            sign = 1.0 if side == LEFT else -1.0
            lift = rotation_about(_Y, -sign * rng.uniform(0.15, 0.4))
            rotations["clavicle" + SUFFIX[side]] = rotations["spine02"] @ lift
    joints, world = bone_frames(model, shape, rotations)
    chest = world[model.bone("spine01")]
    scale = _arm_length(model, shape) / ARM_LENGTH
    head = _head_ellipsoid(model, shape, joints, world)
    targets, chosen = {}, {}
    for side in (LEFT, RIGHT):
        frame = _side_frame(chest, side)
        through = _body_cost(model, shape, joints, chest, head, goals[side].anchor == "back")
        best = None
        for _ in range(_TRIES):
            goal = jittered(goals[side], rng)
            if wrists is not None and side in wrists:
                target = wrists[side]
            else:
                anchor = _anchor(model, shape, joints, world, goal.anchor, side)
                target = anchor + scale * frame @ np.array(goal.wrist)
            arm = _reach(model, shape, side, joints, frame, goal, target, through)
            if best is None or arm.cost < best[0].cost:
                best = (arm, goal, target)
            if best[0].cost < _ACCEPTED_COST:
                break
        assert best is not None
        targets[side] = best[2]
        fingers = finger_rotations(model, shape, side, hand_pose(goals[side], rng))
        chosen[side] = (best[0], best[1], fingers, frame, through)

    for step in range(_SEPARATIONS):
        for side in (LEFT, RIGHT):
            arm, _, fingers, _, _ = chosen[side]
            rotations.update(arm.rotations)
            wrist = arm.rotations["wrist" + SUFFIX[side]]
            rotations.update({bone: wrist @ turn for bone, turn in fingers.items()})
        if step == _SEPARATIONS - 1:
            break
        posed, _ = bone_frames(model, shape, rotations)
        balls = {side: _hand_balls(model, posed, side) for side in (LEFT, RIGHT)}
        shift = {side: _out_of(head, balls[side]) for side in (LEFT, RIGHT)}
        apart = _apart(balls[LEFT], balls[RIGHT], 0.011 * scale)
        shift[LEFT] = shift[LEFT] + 0.5 * apart
        shift[RIGHT] = shift[RIGHT] - 0.5 * apart
        if max(np.linalg.norm(v) for v in shift.values()) < _TOUCH:
            break
        for side in (LEFT, RIGHT):
            _, goal, fingers, frame, through = chosen[side]
            targets[side] = targets[side] + 1.1 * shift[side]
            arm = _reach(model, shape, side, joints, frame, goal, targets[side], through)
            chosen[side] = (arm, goal, fingers, frame, through)
    return pose_body(model, shape, rotations)


def _reach(model, shape, side, joints, frame, goal, target, through) -> ArmReach:
    hand = hand_rotation(
        model, shape, side, frame @ np.array(goal.fingers), frame @ np.array(goal.palm)
    )
    shoulder = joints[model.bone("upperarm01" + SUFFIX[side])]
    elbow = frame @ np.array(goal.elbow)
    return solve_arm(model, shape, side, shoulder, target, hand, elbow, through)


def _hand_balls(model: BodyModel, joints: np.ndarray, side: int) -> np.ndarray:
    """(N, 3) centres of balls along the palm and the fingers, for collisions."""
    s = SUFFIX[side]
    wrist = joints[model.bone("wrist" + s)]
    points = []
    for finger in range(1, 6):
        a, b, c = (joints[model.bone(f"finger{finger}-{k}{s}")] for k in (1, 2, 3))
        tip = c + 0.8 * (c - b)
        points += [0.5 * (wrist + a), a, 0.5 * (a + b), b, 0.5 * (b + c), c, tip]
    return np.array(points)


def _apart(left: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
    """(3,) shift of the left hand against the right one that parts their balls, roughly."""
    between = left[:, None] - right[None]
    distance = np.linalg.norm(between, axis=-1)
    depth = 2 * radius - distance
    if depth.max() <= 0:
        return np.zeros(3)
    weight = np.maximum(depth, 0)
    direction = (weight[..., None] * between).sum((0, 1))
    direction += 0.3 * weight.sum() * (left.mean(0) - right.mean(0))
    return unit(direction) * depth.max()


def _out_of(head: _Ellipsoid, balls: np.ndarray) -> np.ndarray:
    """(3,) shift that takes the balls out of the head."""
    local = (balls - head.centre) @ head.axes / head.half
    size = np.linalg.norm(local, axis=1)
    deepest = int(size.argmin())
    if size[deepest] >= 1:
        return np.zeros(3)
    away = head.axes @ (local[deepest] * head.half)
    return unit(away) * (1 / max(size[deepest], 0.3) - 1) * min(np.linalg.norm(away), 0.1)


@dataclass(frozen=True)
class _Ellipsoid:
    """Centre (3,), axes as columns (3, 3), half lengths (3,), of a head with a finger's room."""

    centre: np.ndarray
    axes: np.ndarray
    half: np.ndarray


def _head_ellipsoid(model, shape, joints, world) -> _Ellipsoid:
    own = body_regions().is_head
    low, high = shape.vertices[own].min(0), shape.vertices[own].max(0)
    i = model.bone("head")
    centre = joints[i] + world[i] @ (0.5 * (low + high) - shape.heads[i])
    return _Ellipsoid(centre, world[i], 0.5 * (high - low) * [0.92, 0.98, 0.98] + 0.009)


def _side_frame(chest: np.ndarray, side: int) -> np.ndarray:
    """Columns out, forward, up of one side of the chest."""
    out = 1.0 if side == LEFT else -1.0
    return chest @ np.array([[out, 0, 0], [0, -1, 0], [0, 0, 1.0]]).T


def _arm_length(model: BodyModel, shape: BodyShape) -> float:
    a, b, c = (shape.heads[model.bone(n)] for n in ("upperarm01.L", "lowerarm01.L", "wrist.L"))
    return float(np.linalg.norm(b - a) + np.linalg.norm(c - b))


def _front(model: BodyModel, shape: BodyShape, low: float, high: float) -> float:
    """How far the front of the trunk lies before the spine between two heights, metres."""
    v = shape.vertices
    trunk = model.weight_of("spine", "pelvis", "root") > 0.7
    band = trunk & (v[:, 2] > low) & (v[:, 2] < high)
    return float(-v[band, 1].min()) if band.any() else 0.13


def _anchor(
    model: BodyModel,
    shape: BodyShape,
    joints: np.ndarray,
    world: np.ndarray,
    name: str,
    side: int,
) -> np.ndarray:
    """Position of a named place of the posed body."""
    s = SUFFIX[side]
    out = 1.0 if side == LEFT else -1.0
    size = _arm_length(model, shape) / ARM_LENGTH

    def at(bone: str, x: float, y: float, z: float) -> np.ndarray:
        i = model.bone(bone)
        return joints[i] + world[i] @ (np.array([x * out, y, z]))

    head = 0.5 + 0.5 * size  # heads of children are large
    if name == "shoulder":
        return joints[model.bone("upperarm01" + s)]
    if name == "hip":
        return at("root", 0.17 * size, -0.07, 0.06 * size)
    if name == "thigh":
        a, b = (joints[model.bone(n + s)] for n in ("upperleg01", "lowerleg01"))
        return 0.4 * a + 0.6 * b + np.array([0, 0, 0.085 * size])
    if name == "chin":
        return at("head", 0.0, -0.115 * head, -0.045 * head)
    if name == "cheek":
        return at("head", 0.062 * head, -0.06 * head, -0.01 * head)
    if name == "ear":
        return at("head", 0.085 * head, -0.01, 0.025 * head)
    if name == "crown":
        return at("head", 0.0, 0.0, 0.14 * head)
    z = shape.heads[:, 2]
    if name == "chest":
        i = model.bone("spine01")
        reach = _front(model, shape, z[i] - 0.1, z[i] + 0.02)
        return at("spine01", 0.0, -reach - shape.heads[i, 1], -0.03)
    if name == "belly":
        i = model.bone("spine03")
        reach = _front(model, shape, z[i] - 0.1, z[i] + 0.08)
        return at("spine03", 0.0, -reach - shape.heads[i, 1], -0.02)
    if name == "back":
        return at("spine04", 0.0, 0.11, 0.0)
    raise ValueError(f"no such anchor: {name}")


def _body_cost(model, shape, joints, chest, head: _Ellipsoid, is_behind: bool):
    """Cost of elbows and wrists inside the trunk or the head, seen as elliptic cylinders."""
    trunk = model.weight_of("spine") > 0.7
    v = shape.vertices[trunk]
    band = v[np.abs(v[:, 2] - shape.heads[model.bone("spine02"), 2]) < 0.12]
    half_x = 0.95 * float(np.abs(band[:, 0]).max())
    y0, y1 = float(band[:, 1].min()), float(band[:, 1].max())
    middle, half_y = 0.5 * (y0 + y1), 0.5 * (y1 - y0)
    root, top = joints[model.bone("root")], joints[model.bone("neck01")]
    rest_root = shape.heads[model.bone("root")]

    def cost(elbow: np.ndarray, wrist: np.ndarray) -> float:
        total = 0.0
        for share, weight in ((0.0, 1.0), (0.35, 1.0), (0.7, 1.0), (1.0, 1.5)):
            p = elbow + share * (wrist - elbow)
            local = chest.T @ (p - root)
            if 0 < local[2] < (top - root) @ chest[:, 2]:
                y = local[1] + rest_root[1] - middle
                depth = 1 - np.hypot(local[0] / (half_x + 0.03), y / (half_y + 0.03))
                total += weight * 3 * max(0.0, depth)
                if not is_behind and y > half_y:
                    total += 0.1
            local = (p - head.centre) @ head.axes / head.half
            total += 2 * weight * max(0.0, 1 - np.linalg.norm(local))
        return total

    return cost


def facing(direction: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) about z that makes a person look along a horizontal direction."""
    flat = unit(np.array([direction[0], direction[1], 0.0]))
    return align(-_Y, _Z, flat, _Z)
