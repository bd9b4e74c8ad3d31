"""The 21 joints: names, bones and orders agree with each other."""

from __future__ import annotations

from itertools import pairwise

from wilor_yolo.skeleton import (
    EDGES,
    FINGER_COLOURS,
    FINGERS,
    JOINT_NAMES,
    LEFT,
    MANO_JOINT_NAMES,
    MANO_PARENTS,
    MANO_TO_OPENPOSE,
    NUM_JOINTS,
    NUM_VERTICES,
    RIGHT,
    SIDE_COLOURS,
    SIDE_NAMES,
    TIP_VERTICES,
)


def test_names_and_sides():
    assert len(JOINT_NAMES) == NUM_JOINTS == 21 == len(set(JOINT_NAMES))
    assert JOINT_NAMES[0] == "wrist" and JOINT_NAMES[8] == "index4"
    assert (LEFT, RIGHT) == (0, 1) and SIDE_NAMES == {LEFT: "left", RIGHT: "right"}
    assert set(FINGER_COLOURS) == set(FINGERS) and set(SIDE_COLOURS) == {LEFT, RIGHT}


def test_bones_run_from_wrist_to_tip():
    for i, finger in enumerate(FINGERS):
        chain = [(JOINT_NAMES[a], JOINT_NAMES[b]) for a, b in EDGES[4 * i : 4 * i + 4]]
        names = ["wrist", *(f"{finger}{k}" for k in (1, 2, 3, 4))]
        assert chain == list(pairwise(names))


def test_mano_order_becomes_ours_by_name():
    tips = [f"{finger}4" for finger in FINGERS]
    stored = [*MANO_JOINT_NAMES, *tips]
    assert [stored[i] for i in MANO_TO_OPENPOSE] == list(JOINT_NAMES)
    assert sorted(MANO_TO_OPENPOSE) == list(range(21))


def test_mano_parents_are_bones_of_ours():
    bones = {(JOINT_NAMES[a], JOINT_NAMES[b]) for a, b in EDGES}
    for child, parent in enumerate(MANO_PARENTS):
        if parent >= 0:
            assert (MANO_JOINT_NAMES[parent], MANO_JOINT_NAMES[child]) in bones


def test_tips_are_vertices():
    assert len(set(TIP_VERTICES)) == 5 and max(TIP_VERTICES) < NUM_VERTICES
