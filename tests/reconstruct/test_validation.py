from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wilor_yolo.geometry import matrix_to_rotation_6d, project_crop
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.network import CoarseHand, HandNetwork, NetworkOutput
from wilor_yolo.reconstruct.stems import LandmarkEvidence
from wilor_yolo.reconstruct.trunk import TrunkOutput
from wilor_yolo.reconstruct.validation import SourceErrors, score, validate


class Trunk(nn.Module):
    """Sees landmarks at given places, or none."""

    def forward(self, points):
        nothing = torch.zeros(0)
        evidence = None if points is None else LandmarkEvidence(points, nothing)
        return TrunkOutput(nothing, nothing, nothing, nothing, evidence=evidence)


class Oracle(nn.Module):
    """A "network" that knows the answers, moved by a chosen error."""

    def __init__(self, hand, config, targets, shift_2d=0.0, stretch=1.0, shift_seen=None):
        super().__init__()
        self.trunk, self.shift_seen = Trunk(), shift_seen
        self.hand, self.config, self.targets = hand, config, targets
        self.shift_2d, self.stretch = shift_2d, stretch
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, crops):
        t = self.targets
        mesh = self.hand(t.global_orient, t.hand_pose, t.betas)
        cam = torch.tensor([[7.0, 0, 0]]).expand(len(crops), 3)
        rotations = torch.cat((t.global_orient[:, None], t.hand_pose), 1)
        truth = t.keypoints_2d[..., :2]
        seen = None if self.shift_seen is None else truth + torch.tensor([0, self.shift_seen])
        self.trunk(seen)
        return NetworkOutput(
            cam=cam,
            cam_t_crop=cam,
            global_orient=t.global_orient,
            hand_pose=t.hand_pose,
            betas=t.betas,
            vertices=mesh.vertices * self.stretch,
            joints=mesh.joints * self.stretch,
            keypoints_2d_crop=truth + torch.tensor([self.shift_2d, 0]),
            pose6d=torch.zeros(len(crops), 96),
            coarse=CoarseHand(cam, matrix_to_rotation_6d(rotations).flatten(1), t.betas),
        )


@pytest.fixture
def setting(make_hand, free_hand):
    config = NetworkConfig(image_size=64, visible=1.0, box_scale=1.5)
    samples = [make_hand(f"k{i}", i, is_right=i % 2 == 0, source="full") for i in range(3)]
    weak = replace(make_hand("w", 9, parameters=False, source="weak"), keypoints_3d_confidence=0.1)
    encoded = [s.encode() for s in [*samples, weak]]
    return config, encoded, make_batch(encoded, config).targets


def test_known_errors_are_measured(setting, free_hand):
    config, encoded, targets = setting
    perfect = validate(Oracle(free_hand, config, targets), encoded)
    assert list(perfect) == ["full", "weak"] and perfect["full"].count == 3
    assert perfect["full"].pa_mpjpe < 0.01 and perfect["full"].pa_mpvpe < 0.01
    assert perfect["full"].mpjpe < 0.01 and perfect["full"].error_2d < 1e-6
    off = validate(Oracle(free_hand, config, targets, shift_2d=0.02, stretch=1.1), encoded)
    # 0.02 crop sides are 0.03 box sides; a uniform stretch is invisible after alignment.
    assert off["full"].error_2d == pytest.approx(0.03, rel=1e-4)
    assert off["full"].pa_mpjpe < 0.01 and off["full"].mpjpe > 3


def test_2d_errors_are_shares_of_the_box_where_wide_boxes_have_larger_crops(make_hand, free_hand):
    config = NetworkConfig(image_size=64, visible=0.75, box_scale=1.5)
    hand = make_hand("k", 1)
    wide = np.array([20, 40, 100, 80], np.float32)  # 80 x 40 px: the crop is 1.5 * 80 / 0.75
    encoded = [replace(hand, bbox_xyxy=wide).encode()]
    targets = make_batch(encoded, config).targets
    errors = validate(Oracle(free_hand, config, targets, shift_2d=0.02), encoded)["test"]
    assert errors.error_2d == pytest.approx(0.02 * 1.5 / 0.75, rel=1e-4)


def test_what_every_stage_adds_is_measured(setting, free_hand):
    config, encoded, targets = setting
    errors = validate(Oracle(free_hand, config, targets, shift_seen=0.04), encoded)["full"]
    # The landmarks are off by 0.04 crop sides, 0.06 box sides; the coarse hand by its camera.
    assert errors.seen_2d == pytest.approx(0.06, rel=1e-4) and errors.error_2d < 1e-6
    mesh = free_hand(targets.global_orient, targets.hand_pose, targets.betas)
    coarse = project_crop(mesh.joints, torch.tensor([[7.0, 0, 0]]))
    truth = targets.keypoints_2d
    off = (coarse - truth[..., :2]).norm(dim=-1)[:3] * config.box_scale
    assert errors.coarse_2d == pytest.approx(off[truth[:3, :, 2] > 0.5].mean().item(), rel=0.05)
    assert "landmarks  6.00 %" in str(errors)
    without = validate(Oracle(free_hand, config, targets), encoded)["full"]
    assert np.isnan(without.seen_2d) and "landmarks" not in str(without)


def test_without_refinement_the_coarse_hand_is_the_hand(setting, free_hand):
    torch.manual_seed(0)
    config = NetworkConfig(image_size=64, dim=32, depth=1, heads=2, scales=0)
    errors = validate(HandNetwork(config, load_hand_model()), setting[1])["full"]
    assert errors.coarse_2d == pytest.approx(errors.error_2d, rel=1e-5)


def test_weak_samples_score_2d_only(setting, free_hand):
    config, encoded, targets = setting
    errors = validate(Oracle(free_hand, config, targets), encoded)["weak"]
    assert np.isnan([errors.pa_mpjpe, errors.pa_mpvpe, errors.mpjpe, errors.betas]).all()
    assert np.isfinite(errors.error_2d)
    assert "n=1" in str(errors)


def test_parameters_beside_weak_joints_are_no_yardstick(setting, make_hand, free_hand):
    """As of fits to a single view; parameters alone are one."""
    config = setting[0]
    hand = make_hand("k", 3)
    samples = [
        replace(hand, source="fit", keypoints_3d_confidence=0.3),
        replace(hand, source="alone", keypoints_3d=None),
    ]
    encoded = [sample.encode() for sample in samples]
    targets = make_batch(encoded, config).targets
    errors = validate(Oracle(free_hand, config, targets), encoded)
    fit, alone = errors["fit"], errors["alone"]
    assert np.isnan([fit.pa_mpjpe, fit.pa_mpvpe, fit.mpjpe, fit.betas]).all()
    assert alone.pa_mpvpe < 0.01 and alone.betas < 1e-6


def test_crop_units_agree_with_the_network_camera(free_hand):
    """The unit of `error_2d`: half a crop from the centre is at 0.5."""
    cam = torch.tensor([[4.0, 0.0, 0.0]])
    edge = project_crop(torch.tensor([[[0.25, 0.0, 0.0]]]), cam)
    assert float(edge[0, 0, 0]) == pytest.approx(0.5, rel=1e-3)


def test_score_ignores_what_a_source_lacks():
    nan = float("nan")
    errors = {
        "a": SourceErrors(1, 10.0, 9.0, 20.0, 0.03, 1.0),
        "b": SourceErrors(1, nan, nan, nan, 0.05, nan),
    }
    assert score(errors) == pytest.approx(10 + 4)
    assert score({"b": errors["b"]}) == pytest.approx(5)


def test_errors_without_a_number_are_the_worst_score():
    nan = float("nan")
    assert score({"a": SourceErrors(1, nan, nan, nan, nan, nan)}) == float("inf")
