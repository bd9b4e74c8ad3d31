from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wilor_yolo.geometry import matrix_to_rotation_6d, project_crop
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.losses import (
    LossWeights,
    coarse_losses,
    complete_targets,
    network_losses,
)
from wilor_yolo.reconstruct.network import CoarseHand, NetworkOutput

CONFIG = NetworkConfig(image_size=64, visible=1.0, box_scale=1.5)


def _output(hand, orient, pose, betas, cam):
    mesh = hand(orient, pose, betas)
    pose6d = matrix_to_rotation_6d(torch.cat((orient[:, None], pose), 1)).flatten(1)
    return NetworkOutput(
        cam=cam,
        cam_t_crop=cam,
        global_orient=orient,
        hand_pose=pose,
        betas=betas,
        vertices=mesh.vertices,
        joints=mesh.joints,
        keypoints_2d_crop=project_crop(mesh.joints, cam),
        pose6d=pose6d,
        coarse=CoarseHand(cam, pose6d, betas),
    )


@pytest.fixture
def targets(make_hand):
    samples = [make_hand("full", 1), make_hand("joints", 2, parameters=False)]
    samples.append(replace(make_hand("flat", 3, parameters=False), keypoints_3d=None))
    return make_batch([s.encode() for s in samples], CONFIG).targets


def test_true_parameters_have_no_3d_loss(free_hand, targets):
    complete = complete_targets(targets, free_hand)
    cam = torch.tensor([[7.0, 0, 0]]).expand(3, 3)
    output = _output(free_hand, targets.global_orient, targets.hand_pose, targets.betas, cam)
    only_first = complete.known.joints_3d_weight * torch.tensor([1, 0, 0])
    only_first = replace(complete, known=replace(complete.known, joints_3d_weight=only_first))
    terms = network_losses(output, only_first).numbers()
    for name in ("vertices", "joints_3d", "global_orient", "hand_pose", "betas", "articulation"):
        assert terms[name] < 1e-5, name
    assert terms["keypoints_2d"] > 1e-3  # the camera is wrong


@pytest.mark.parametrize(
    ("row", "unaffected"),
    [
        (1, ("vertices", "global_orient", "hand_pose", "betas", "articulation")),
        (2, ("vertices", "joints_3d", "global_orient", "hand_pose", "betas", "articulation")),
    ],
)
def test_missing_labels_add_no_loss_and_no_gradient(free_hand, targets, row, unaffected):
    complete = complete_targets(targets, free_hand)
    pose = torch.eye(3).expand(3, 15, 3, 3).clone().requires_grad_()
    orient = torch.eye(3).expand(3, 3, 3).clone().requires_grad_()
    betas = torch.ones(3, 10, requires_grad=True)
    cam = torch.tensor([[7.0, 0.01, 0]]).expand(3, 3).clone().requires_grad_()
    terms = network_losses(_output(free_hand, orient, pose, betas, cam), complete)
    for name in unaffected:
        grads = torch.autograd.grad(
            getattr(terms, name), (pose, orient, betas), retain_graph=True, allow_unused=True
        )
        for grad in grads:
            assert grad is None or not grad[row].any(), name
    assert torch.autograd.grad(terms.keypoints_2d, cam)[0][row].any()


def test_confidence_weighs_2d_and_3d(free_hand, targets):
    cam = torch.tensor([[7.0, 0.05, 0]]).expand(3, 3)
    eye = torch.eye(3)
    output = _output(
        free_hand, eye.expand(3, 3, 3), eye.expand(3, 15, 3, 3), torch.zeros(3, 10), cam
    )
    full = network_losses(output, complete_targets(targets, free_hand))
    halved = replace(
        targets,
        keypoints_2d=targets.keypoints_2d * torch.tensor([1, 1, 0.5]),
        joints_3d_weight=targets.joints_3d_weight * 0.5,
    )
    half = network_losses(output, complete_targets(halved, free_hand))
    torch.testing.assert_close(half.keypoints_2d * 2, full.keypoints_2d)
    torch.testing.assert_close(half.joints_3d * 2, full.joints_3d)
    assert half.vertices == full.vertices


def test_numbers_against_plain_loops(free_hand, targets):
    """Means over the whole batch and all elements, computed again by hand."""
    cam = torch.tensor([[7.0, 0.05, 0]]).expand(3, 3)
    eye = torch.eye(3)
    output = _output(
        free_hand, eye.expand(3, 3, 3), eye.expand(3, 15, 3, 3), torch.zeros(3, 10), cam
    )
    terms = network_losses(output, complete_targets(targets, free_hand))
    flat = sum(
        (output.keypoints_2d_crop[b, j] - targets.keypoints_2d[b, j, :2]).abs().sum()
        for b in range(3)
        for j in range(21)
    )
    torch.testing.assert_close(terms.keypoints_2d, flat / (3 * 42))
    deep = sum(
        (output.joints[b, j] - output.joints[b, 0] - targets.joints_3d[b, j]).abs().sum()
        for b in range(2)
        for j in range(21)
    )
    torch.testing.assert_close(terms.joints_3d, deep / (3 * 63))
    torch.testing.assert_close(terms.betas, targets.betas[0].square().sum() / (3 * 10))
    weights = LossWeights(1, 2, 3, 4, 5, 6, articulation=7)
    values = terms.numbers().values()
    by_hand = sum(w * v for w, v in zip(range(1, 8), values, strict=True))
    assert float(terms.total(weights)) == pytest.approx(by_hand, rel=1e-5)


def test_articulation_sees_the_fingers_and_not_the_orientation(free_hand, targets):
    complete = complete_targets(targets, free_hand)
    cam = torch.tensor([[7.0, 0, 0]]).expand(3, 3)
    flat = torch.eye(3).expand(3, 15, 3, 3)
    turned = targets.global_orient @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose, betas = targets.hand_pose, targets.betas
    same = network_losses(_output(free_hand, turned, pose, betas, cam), complete)
    assert same.articulation < 1e-5 < 1e-3 < same.joints_3d
    bent = network_losses(_output(free_hand, targets.global_orient, flat, betas, cam), complete)
    assert bent.articulation > 1e-4
    mesh = free_hand(torch.eye(3).expand(3, 3, 3), torch.cat((pose[:1], flat[1:])), betas)
    true = (mesh.joints - mesh.joints[:, :1])[0]
    mesh = free_hand(torch.eye(3).expand(3, 3, 3), flat, betas)
    found = (mesh.joints - mesh.joints[:, :1])[0]
    torch.testing.assert_close(bent.articulation, (found - true).abs().mean() / 3)


def test_parameters_without_joints_give_joints(free_hand, make_hand):
    sample = make_hand("p", 4)
    with_joints = make_batch([sample.encode()], CONFIG).targets
    without = make_batch([replace(sample, keypoints_3d=None).encode()], CONFIG).targets
    assert without.joints_3d_weight == 0
    complete = complete_targets(without, free_hand).known
    assert complete.joints_3d_weight == 1
    torch.testing.assert_close(complete.joints_3d, with_joints.joints_3d, atol=1e-5, rtol=0)


def test_coarse_losses_equal_those_of_the_same_hand(free_hand, targets):
    complete = complete_targets(targets, free_hand)
    cam = torch.tensor([[6.0, 0.02, -0.01]]).expand(3, 3)
    output = _output(free_hand, targets.global_orient, targets.hand_pose, targets.betas, cam)
    refined = network_losses(output, complete).numbers()
    coarse = coarse_losses(output.coarse, free_hand, complete).numbers()
    assert coarse.pop("vertices") == 0
    refined.pop("vertices")
    assert coarse == pytest.approx(refined, abs=1e-5)
