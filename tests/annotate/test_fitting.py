from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.annotate.first_guess import axis_to_ray
from wilor_yolo.annotate.fitted import FittedHands
from wilor_yolo.annotate.fitting import FitSettings, HandFitter, Stage, Weights
from wilor_yolo.errors import HandError
from wilor_yolo.geometry import default_intrinsics, mirror_points, project
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.metrics.procrustes import align_similarity

K = default_intrinsics(640, 480)
COUNT = 10
SHORT = FitSettings(
    starts=1,
    stages=(
        Stage(("orient", "wrist"), 15, 0.05, 1),
        Stage(("orient", "wrist", "pose", "betas"), 50, 0.05, 1),
    ),
)


@pytest.fixture(scope="module")
def fitter() -> HandFitter:
    return HandFitter()


@pytest.fixture(scope="module")
def truth(fitter: HandFitter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Camera-frame joints (N, 21, 3), is_right (N,) and landmarks (N, 21, 3) of posed hands."""
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    picks = rng.choice(len(fitter.prior.poses), COUNT)
    poses = fitter.prior.poses[picks] + 0.08 * torch.randn(COUNT, 15, 3)
    with torch.no_grad():
        mesh = fitter.layer(
            roma.random_rotmat(COUNT), roma.rotvec_to_rotmat(poses), torch.randn(COUNT, 10) * 0.7
        )
    joints = mesh.joints.numpy() + rng.uniform((-0.1, -0.1, 0.5), (0.1, 0.1, 0.7), (COUNT, 1, 3))
    is_right = np.arange(COUNT) % 2 == 0
    joints = np.where(is_right[:, None, None], joints, mirror_points(joints))
    keypoints = np.concatenate((project(joints, K), np.ones((COUNT, 21, 1))), -1)
    return joints, is_right, keypoints


@pytest.fixture(scope="module")
def everything(fitter: HandFitter, truth: tuple) -> FittedHands:
    """One batch: the true hands, two of them mirrored, three with unknown landmarks, and four
    that are no hands."""
    _, is_right, keypoints = truth
    mirrored = keypoints[:2].copy()
    mirrored[..., 0] = 2 * K[0, 2] - mirrored[..., 0]
    hidden = keypoints[:3].copy()
    hidden[:, [8, 12]] = 0  # two tips unknown, stored as zeros
    scattered = np.ones((2, 21, 3))
    scattered[:, :, :2] = np.random.default_rng(0).uniform(50, 400, (2, 21, 2))
    few = scattered.copy()
    few[:, 5:, 2] = 0
    batch = np.concatenate((keypoints, mirrored, hidden, scattered, few))
    sides = np.concatenate((is_right, ~is_right[:2], is_right[:3], np.ones(4, bool)))
    return fitter(batch, sides, np.repeat(K[None], len(batch), 0))


@pytest.fixture(scope="module")
def fitted(everything: FittedHands) -> FittedHands:
    return part(everything, slice(COUNT))


def part(hands: FittedHands, rows: slice) -> FittedHands:
    return FittedHands(**{name: value[rows] for name, value in vars(hands).items()})


def test_known_hands_are_found(fitted: FittedHands, truth: tuple) -> None:
    joints, _, keypoints = truth
    assert fitted.converged.mean() >= 0.9
    camera = fitted.joints + fitted.cam_t[:, None]
    error = np.linalg.norm(align_similarity(camera, joints) - joints, axis=-1).mean(1)
    assert np.median(error) < 0.007 and np.isfinite(camera).all()
    assert np.median(fitted.residual) < 0.01
    # Distance is right within what shapes of hands leave open.
    assert np.median(np.abs(camera[:, 0, 2] / joints[:, 0, 2] - 1)) < 0.12
    off = np.linalg.norm(fitted.keypoints_2d - keypoints[..., :2], axis=-1)
    assert np.median(off) < 2.0


def test_projection_is_that_of_the_joints(fitted: FittedHands) -> None:
    camera = (fitted.joints + fitted.cam_t[:, None]).astype(np.float64)
    assert project(camera, K) == pytest.approx(fitted.keypoints_2d, abs=0.05)


def test_parameters_give_the_joints_back(fitted: FittedHands, truth: tuple) -> None:
    """Right-hand parameters posed again, and mirrored for left hands."""
    is_right = truth[1]
    pose = torch.tensor(fitted.hand_pose).reshape(-1, 15, 3)
    with torch.no_grad():
        mesh = HandLayer.free()(
            roma.rotvec_to_rotmat(torch.tensor(fitted.global_orient)),
            roma.rotvec_to_rotmat(pose),
            torch.tensor(fitted.betas),
        )
    joints = mesh.joints.numpy() + fitted.cam_t_right[:, None]
    joints = np.where(is_right[:, None, None], joints, mirror_points(joints))
    assert joints == pytest.approx(fitted.joints + fitted.cam_t[:, None], abs=1e-4)
    assert len(fitted.vertices) == COUNT


def test_mirrored_landmarks_of_the_other_side_give_the_mirrored_hand(
    everything: FittedHands, fitted: FittedHands
) -> None:
    mirrored, plain = part(everything, slice(COUNT, COUNT + 2)), part(fitted, slice(2))
    assert mirrored.joints == pytest.approx(mirror_points(plain.joints), abs=2e-3)
    assert mirrored.hand_pose == pytest.approx(plain.hand_pose, abs=2e-2)
    assert mirrored.cam_t == pytest.approx(mirror_points(plain.cam_t), abs=5e-3)


def test_hands_of_a_batch_do_not_mix(fitter: HandFitter, truth: tuple) -> None:
    _, is_right, keypoints = truth
    settings = replace(SHORT, starts=2)
    short = HandFitter(fitter.layer, fitter.prior, fitter.limits, settings)
    three = short(keypoints[:3], is_right[:3], np.repeat(K[None], 3, 0))
    alone = short(keypoints[2:3], is_right[2:3], K[None])
    assert alone.joints[0] == pytest.approx(three.joints[2], abs=1e-3)


def test_nonsense_is_rejected_with_its_residual(everything: FittedHands) -> None:
    result = part(everything, slice(-4, None))
    assert result.status[:2] == ("residual", "residual") and (result.residual[:2] > 0.05).all()
    assert result.status[2:] == ("landmarks", "landmarks")
    assert not result.converged.any()


def test_unknown_landmarks_do_not_pull(everything: FittedHands, truth: tuple) -> None:
    result, joints = part(everything, slice(COUNT + 2, COUNT + 5)), truth[0][:3]
    assert result.residual.max() < 0.02
    camera = result.joints + result.cam_t[:, None]
    error = np.linalg.norm(align_similarity(camera, joints) - joints, axis=-1).mean(1)
    assert np.median(error) < 0.012


def test_weak_perspective_and_single_start(fitter: HandFitter, truth: tuple) -> None:
    _, is_right, keypoints = truth
    settings = replace(SHORT, projection="weak")
    weak = HandFitter(fitter.layer, fitter.prior, fitter.limits, settings)
    result = weak(keypoints[:4], is_right[:4], np.repeat(K[None], 4, 0))
    assert np.median(result.residual) < 0.03
    depth = result.cam_t[:, 2:] + result.joints[:, :1, 2]
    expected = (result.joints + result.cam_t[:, None])[..., 0] / depth * K[0, 0] + K[0, 2]
    assert result.keypoints_2d[..., 0] == pytest.approx(expected, abs=0.05)


def test_terms_are_heard(fitter: HandFitter, truth: tuple) -> None:
    """Landmarks with noise: the prior keeps the mesh nearer to its space, the angles in range."""
    _, is_right, keypoints = truth
    noisy = keypoints.copy()
    noisy[..., :2] += np.random.default_rng(1).normal(size=noisy[..., :2].shape) * 6
    off = replace(SHORT, weights=Weights(bone=0, angle=0, prior=0, shape=0))
    with_terms, without = (
        HandFitter(fitter.layer, fitter.prior, fitter.limits, settings)(
            noisy, is_right, np.repeat(K[None], COUNT, 0)
        )
        for settings in (SHORT, off)
    )
    assert np.median(with_terms.prior_energy) < np.median(without.prior_energy)
    assert np.median(with_terms.angle_violation) < np.median(without.angle_violation)
    assert np.median(with_terms.residual) > np.median(without.residual)


def test_a_3d_guess_tells_depth_orders_apart(fitter: HandFitter, truth: tuple) -> None:
    """The same start with the true depths and with the depths turned over as a hint."""
    joints, is_right, keypoints = (array[:6] for array in truth)
    short = HandFitter(fitter.layer, fitter.prior, fitter.limits, SHORT)
    K6 = np.repeat(K[None], 6, 0)
    middle = torch.tensor(keypoints[..., :2].mean(1), dtype=torch.float32)
    turn = axis_to_ray(middle, torch.tensor(K6)).numpy()
    hint = np.einsum("nij,nki->nkj", turn, joints - joints.mean(1, keepdims=True)) * 3.0
    hint[5] = np.nan
    errors = []
    for hints in (hint, hint * [1, 1, -1], None):
        fit = short(keypoints, is_right, K6, hints)
        camera = fit.joints + fit.cam_t[:, None]
        errors.append(np.linalg.norm(align_similarity(camera, joints) - joints, axis=-1).mean(1))
    true, wrong, none = errors
    assert np.median(true[:5]) < 0.8 * np.median(none[:5])
    assert np.median(wrong[:5]) > 2 * np.median(true[:5])
    assert true[5] == pytest.approx(none[5], abs=1e-4)  # no hint for that one


def test_empty_and_wrong_input(fitter: HandFitter) -> None:
    none = fitter(np.zeros((0, 21, 3)), np.zeros(0, bool), np.zeros((0, 3, 3)))
    assert len(none) == 0 and none.vertices.shape == (0, 778, 3)
    with pytest.raises(HandError, match="fitting needs"):
        fitter(np.zeros((2, 20, 3)), np.zeros(2, bool), np.zeros((2, 3, 3)))
    with pytest.raises(HandError, match="3D hints"):
        fitter(np.zeros((2, 21, 3)), np.zeros(2, bool), np.zeros((2, 3, 3)), np.zeros((1, 21, 3)))
    with pytest.raises(HandError, match="projection"):
        FitSettings(projection="fisheye")
