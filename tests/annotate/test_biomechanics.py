from __future__ import annotations

from pathlib import Path

import pytest
import roma
import torch
import yaml

from wilor_yolo.annotate.biomechanics import (
    ANGLE_JOINTS,
    BONES,
    DEFAULT_LIMITS,
    HandLimits,
    angle_loss,
    bone_angles,
    bone_lengths,
    bone_loss,
    read_limits,
)
from wilor_yolo.errors import HandError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.skeleton import JOINT_NAMES


def flat_hand() -> torch.Tensor:
    """A straight hand in the plane y = 0, wrist at the origin, fingers fanned out around +z.

    The thumb is at x = -2, the little finger at x = 2; a finger has three bones of length 1.
    """
    joints = torch.zeros(1, 21, 3)
    for finger in range(5):
        base = torch.tensor([finger - 2.0, 0.0, 3.0])
        direction = base / base.norm()
        for k in range(4):
            joints[0, 1 + 4 * finger + k] = base + k * direction
    return joints


def bend(joints: torch.Tensor, finger: int, degrees: float, sideways: float = 0.0) -> torch.Tensor:
    """Turn the first bone of a finger (and what follows) about its knuckle."""
    joints = joints.clone()
    first = 1 + 4 * finger
    palm = joints[0, first] / joints[0, first].norm()
    normal = torch.tensor([0.0, 1.0, 0.0])
    side = torch.linalg.cross(normal, palm)
    flex, abduct = torch.deg2rad(torch.tensor([degrees, sideways]))
    bone = (palm * flex.cos() + normal * flex.sin()) * abduct.cos() + side * abduct.sin()
    for k in range(1, 4):
        joints[0, first + k] = joints[0, first] + k * bone
    return joints


def test_bone_lengths_by_hand() -> None:
    lengths = bone_lengths(flat_hand())[0]
    assert lengths[BONES.index("middle1")] == pytest.approx(3.0)
    assert lengths[BONES.index("thumb1")] == pytest.approx(13**0.5)
    assert lengths[BONES.index("pinky4")] == pytest.approx(1.0)


def test_a_straight_hand_has_no_angles() -> None:
    flexion, abduction = bone_angles(flat_hand())
    assert flexion.abs().max() < 1e-3 and abduction.abs().max() < 1e-3


@pytest.mark.parametrize(("flex", "side"), [(30.0, 0.0), (-20.0, 0.0), (0.0, 15.0), (60.0, -10.0)])
def test_one_bent_knuckle(flex: float, side: float) -> None:
    flexion, abduction = bone_angles(bend(flat_hand(), 2, flex, side))
    joint = ANGLE_JOINTS.index("middle1")
    assert torch.rad2deg(flexion[0, joint]) == pytest.approx(flex, abs=0.1)
    assert torch.rad2deg(abduction[0, joint]) == pytest.approx(side, abs=0.1)
    others = [i for i in range(15) if i != joint]
    assert flexion[0, others].abs().max() < 1e-3  # the rest of the finger goes along, straight


def test_angles_do_not_depend_on_where_the_hand_is() -> None:
    joints = bend(bend(flat_hand(), 1, 40, 5), 4, 20)
    moved = joints @ roma.random_rotmat(1)[0].T * 0.03 + torch.tensor([0.1, 0.2, 0.9])
    for first, second in zip(bone_angles(joints), bone_angles(moved), strict=True):
        assert torch.allclose(first, second, atol=1e-3)


def test_the_free_hand_curls_to_positive_flexion() -> None:
    layer = HandLayer.free()
    mean = torch.as_tensor(load_hand_model().hands_mean).reshape(1, 15, 3)
    eye = torch.eye(3)[None]
    with torch.no_grad():
        joints = layer(eye, roma.rotvec_to_rotmat(mean), torch.zeros(1, 10)).joints
    flexion, _ = bone_angles(joints)
    for finger in ("index", "middle", "ring", "pinky"):
        assert flexion[0, ANGLE_JOINTS.index(f"{finger}2")] > 0.2
    limits = read_limits()
    assert bone_loss(joints, limits).item() < 1e-3 and angle_loss(joints, limits).item() < 0.02


def test_losses_by_hand() -> None:
    joints = bend(flat_hand(), 2, 50)
    wide = torch.tensor([[-4.0, 4.0]]).repeat(15, 1)
    flexion = wide.clone()
    flexion[ANGLE_JOINTS.index("middle1")] = torch.tensor([0.0, 0.5])
    bones = torch.tensor([[0.0, 9.0]]).repeat(20, 1)
    bones[BONES.index("middle1")] = torch.tensor([3.5, 4.0])
    limits = HandLimits(bones, flexion, wide)
    over = torch.deg2rad(torch.tensor(50.0)).item() - 0.5
    assert angle_loss(joints, limits).item() == pytest.approx(over / 15, abs=1e-4)
    assert bone_loss(joints, limits).item() == pytest.approx(0.5 / 20, abs=1e-6)


def test_gradients_are_finite_even_for_a_collapsed_hand() -> None:
    for joints in (flat_hand(), torch.zeros(1, 21, 3), bend(flat_hand(), 1, 180)):
        joints.requires_grad_(True)
        (angle_loss(joints, read_limits()) + bone_loss(joints, read_limits())).sum().backward()
        assert joints.grad is not None and torch.isfinite(joints.grad).all()


def test_limits_file(tmp_path: Path) -> None:
    data = yaml.safe_load(DEFAULT_LIMITS.read_text())
    assert set(data["bones"]) == set(BONES) == set(JOINT_NAMES[1:])
    data["bones"]["index1"] = [50, 40]
    path = tmp_path / "limits.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(HandError, match="index1"):
        read_limits(path)
    del data["bones"]["index1"]
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(HandError, match="needs index1"):
        read_limits(path)
    path.write_text("just text")
    with pytest.raises(HandError, match="must hold keys and values"):
        read_limits(path)
    with pytest.raises(HandError, match="cannot be read"):
        read_limits(tmp_path / "absent.yaml")
