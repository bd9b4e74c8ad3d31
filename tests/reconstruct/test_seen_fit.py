from __future__ import annotations

import pytest
import roma
import torch
from torch import nn

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import matrix_to_rotation_6d, project_crop, rotation_6d_to_matrix
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.seen_fit import SeenFit
from wilor_yolo.reconstruct.stems import LandmarkEvidence


def _hands(free_hand, count, seed=0):
    """A hand, and what is seen of another one at the same place."""
    torch.manual_seed(seed)
    orient = roma.random_rotmat(count)
    fingers = roma.rotvec_to_rotmat(torch.randn(2, count, 15, 3) * 0.3)
    cam = torch.tensor([[7.0, 0.0, 0.0]]).repeat(count, 1)
    mesh, other = (free_hand(orient, pose, torch.zeros(count, 10)) for pose in fingers)
    seen = LandmarkEvidence(project_crop(other.joints, cam), other.joints - other.joints[:, :1])
    pose6d = matrix_to_rotation_6d(torch.cat((orient[:, None], fingers[0]), 1)).flatten(1)
    return seen, orient, pose6d, torch.zeros(count, 10), cam, mesh.joints


def test_a_hand_rolled_with_what_is_seen_is_bent_the_same(free_hand):
    seen, orient, pose6d, betas, cam, joints = _hands(free_hand, 3)
    fit = SeenFit()
    nn.init.normal_(fit.layers[-1].weight, std=0.05)
    roll = roma.rotvec_to_rotmat(torch.tensor([[0.0, 0.0, 0.9]]))
    wrist = joints[:, :1]
    places = 3.5 * joints[..., :2]  # no perspective, which rolling about the wrist would change
    rolled_joints = (joints - wrist) @ roll.transpose(1, 2) + wrist
    flat = roll[:, :2, :2].transpose(1, 2)
    off = seen.points - places
    rolled = LandmarkEvidence(
        3.5 * rolled_joints[..., :2] + off @ flat, seen.joints @ roll.transpose(1, 2)
    )
    rolled_pose = torch.cat((matrix_to_rotation_6d(roll @ orient), pose6d[:, 6:]), dim=1)
    pose, shape, camera = fit(seen, orient, pose6d, betas, cam, joints, places)
    again = fit(
        rolled, roll @ orient, rolled_pose, betas, cam, rolled_joints, 3.5 * rolled_joints[..., :2]
    )
    torch.testing.assert_close(again[0][:, 6:], pose[:, 6:], atol=1e-5, rtol=0)
    torch.testing.assert_close(again[1], shape, atol=1e-5, rtol=0)
    torch.testing.assert_close(again[2], camera, atol=1e-5, rtol=0)
    turned = rotation_6d_to_matrix(pose6d[:, :6] + pose[:, :6])
    turned_again = rotation_6d_to_matrix(rolled_pose[:, :6] + again[0][:, :6])
    torch.testing.assert_close(turned_again, roll @ turned, atol=1e-5, rtol=0)


def test_learns_to_follow_what_is_seen(free_hand):
    fit = SeenFit()
    optimiser = torch.optim.Adam(fit.parameters(), 2e-3)

    def distance(seed):
        seen, orient, pose6d, betas, cam, joints = _hands(free_hand, 48, seed)
        before = (seen.joints - (joints - joints[:, :1])).abs().mean()
        places = project_crop(joints, cam)
        pose, shape, _ = fit(seen, orient, pose6d, betas, cam, joints, places)
        rotations = rotation_6d_to_matrix((pose6d + pose).view(-1, 16, 6))
        found = free_hand(rotations[:, 0], rotations[:, 1:], betas + shape).joints
        return before, (seen.joints - (found - found[:, :1])).abs().mean()

    for step in range(60):
        optimiser.zero_grad()
        distance(step)[1].backward()
        optimiser.step()
    with torch.no_grad():
        before, after = distance(1000)
    assert after < 0.7 * before


def test_needs_a_stem_that_sees_joints():
    with pytest.raises(HandError, match="seen_rounds"):
        NetworkConfig(seen_rounds=1)
