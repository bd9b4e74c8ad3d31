"""Angles put in come out again, of either hand, wherever it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import mirror_points
from wilor_yolo.hands import Hands
from wilor_yolo.joint_angles import ANGLE_NAMES
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.synth.poses import ANGLE_NAMES as POSE_NAMES
from wilor_yolo.synth.poses import NAMED_ANGLES, pose_from_angles

FINGERS = ("index", "middle", "ring", "pinky")
FLAT = NAMED_ANGLES["flat"]


@pytest.fixture(scope="module")
def layer():
    return HandLayer.free()


def _hands(layer, poses, seed=0):
    """Right hands of (N, 16, 3) axis-angle poses, turned anyhow, of any shape."""
    generator = torch.Generator().manual_seed(seed)
    count = len(poses)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(np.asarray(poses)).float())
    orient = roma.rotvec_to_rotmat(torch.randn(count, 3, generator=generator))
    betas = torch.randn(count, 10, generator=generator)
    mesh = layer(orient, rotations[:, 1:], betas)
    return Hands(
        bbox_xyxy=np.zeros((count, 4), np.float32),
        confidence=np.ones(count, np.float32),
        is_right=np.ones(count, bool),
        image_size=(640, 480),
        vertices=mesh.vertices.numpy(),
        joints=mesh.joints.numpy(),
        global_orient=orient.numpy(),
        hand_pose=rotations[:, 1:].numpy(),
        betas=betas.numpy(),
        cam_t=np.ones((count, 3), np.float32),
        K=np.eye(3, dtype=np.float32),
    )


def _changed(**degrees):
    angles = FLAT.copy()
    for name, value in degrees.items():
        angles[POSE_NAMES.index(name)] += value
    return pose_from_angles(angles)


def _column(name):
    return ANGLE_NAMES.index(name)


def test_the_flat_hand_is_zero(layer):
    angles = _hands(layer, np.zeros((4, 16, 3))).joint_angles()
    assert angles.flexion.shape == angles.abduction.shape == (4, 15)
    assert np.abs(angles.flexion).max() < 0.01 and np.abs(angles.abduction).max() < 0.01


@pytest.mark.parametrize("finger", FINGERS)
@pytest.mark.parametrize(
    ("joint", "degrees"), [("mcp", 90), ("mcp", -20), ("pip", 110), ("dip", 60)]
)
def test_flexion_of_fingers(layer, finger, joint, degrees):
    angles = _hands(layer, [_changed(**{f"{finger}_{joint}": degrees})]).joint_angles()
    column = _column(f"{finger}_{joint}")
    assert angles.flexion[0, column] == pytest.approx(degrees, abs=2)
    others = np.delete(angles.flexion[0], column)
    assert np.abs(others).max() < 0.01
    assert np.abs(angles.abduction).max() < 5  # the free hand's bones are not quite straight


@pytest.mark.parametrize("splay", [15, -10])
def test_abduction_of_fingers(layer, splay):
    """Away from the middle finger is positive; the pose library counts towards the thumb."""
    for finger in FINGERS:
        angles = _hands(layer, [_changed(**{f"{finger}_splay": splay})]).joint_angles()
        sign = 1 if finger in ("index", "middle") else -1
        column = _column(f"{finger}_mcp")
        assert angles.abduction[0, column] == pytest.approx(sign * splay, abs=0.5)
        assert abs(angles.flexion[0, column]) < 1
    spread = _hands(layer, [pose_from_angles(NAMED_ANGLES["spread"])]).joint_angles()
    assert all(spread.abduction[0, _column(f"{f}_mcp")] > 1 for f in FINGERS)


def test_both_at_once(layer):
    """A spread finger bent by 60 degrees: the spread is turned along."""
    angles = _hands(layer, [_changed(index_mcp=60, index_splay=12)]).joint_angles()
    turned = np.degrees(np.arcsin(np.sin(np.radians(12)) * np.cos(np.radians(60))))
    assert angles.abduction[0, _column("index_mcp")] == pytest.approx(turned, abs=1.5)
    assert angles.flexion[0, _column("index_mcp")] == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("change", "flexion", "abduction"),
    [({"radial": -25}, 25, 0), ({"radial": 20}, -20, 0), ({"palmar": 30}, 0, 30)],
)
def test_the_base_of_the_thumb(layer, change, flexion, abduction):
    angles = _hands(layer, [_changed(**change)]).joint_angles()
    assert angles.flexion[0, 0] == pytest.approx(flexion, abs=3)
    assert angles.abduction[0, 0] == pytest.approx(abduction, abs=3)


@pytest.mark.parametrize("joint", ["mcp", "ip"])
def test_outer_joints_of_the_thumb(layer, joint):
    for degrees in (50, -10):
        angles = _hands(layer, [_changed(**{f"thumb_{joint}": degrees})]).joint_angles()
        column = _column(f"thumb_{joint}")
        assert angles.flexion[0, column] == pytest.approx(degrees, abs=2)
        assert np.abs(np.delete(angles.flexion[0], column)).max() < 0.01


def test_a_left_hand_has_the_angles_of_its_mirror_image(layer):
    poses = [pose_from_angles(a) for a in NAMED_ANGLES.values()]
    right = _hands(layer, poses)
    left = replace(right, is_right=np.zeros(len(poses), bool), joints=mirror_points(right.joints))
    assert np.allclose(right.joint_angles().flexion, left.joint_angles().flexion, atol=1e-3)
    assert np.allclose(right.joint_angles().abduction, left.joint_angles().abduction, atol=1e-3)


def test_shape_size_and_turn_change_little(layer):
    """Bones of other hands point a little elsewhere in the flat hand; angles are differences."""
    poses = [pose_from_angles(a) for a in NAMED_ANGLES.values()]
    one, other = (_hands(layer, poses, seed).joint_angles() for seed in (1, 2))
    assert np.abs(one.flexion - other.flexion).max() < 3
    hands = _hands(layer, poses, 1)
    scaled = replace(hands, joints=hands.joints * 2).joint_angles()
    assert np.allclose(scaled.flexion, one.flexion, atol=1e-3)


def test_by_name(layer):
    angles = _hands(layer, [_changed(middle_pip=45)] * 2).joint_angles()
    named = angles.by_name(1)
    assert list(named) == list(ANGLE_NAMES)
    assert named["middle_pip"][0] == pytest.approx(45, abs=2)
    assert named["thumb_ip"] == pytest.approx((0, 0), abs=0.01)


def test_hands_without_a_pose():
    none = Hands.empty((640, 480))
    assert none.joint_angles().flexion.shape == (0, 15)
    detected = replace(
        none,
        bbox_xyxy=np.zeros((1, 4)),
        confidence=np.ones(1),
        is_right=np.ones(1, bool),
    )
    with pytest.raises(HandError, match="HandReconstructor"):
        detected.joint_angles()
