"""Known sizes: synthetic hands of known place come back to it when their size is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import fit_translation, mirror_points, project
from wilor_yolo.hands import Hands
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.reconstruct.hand_size import (
    hand_lengths,
    place_by_keypoints,
    with_betas,
    with_hand_length,
    with_wrist_depth,
)

# A camera whose pixels are no squares and whose axis is far from the middle of a 640 x 480 picture.
K = np.array([[700, 0, 150], [0, 560, 400], [0, 0, 1]], np.float32)
SIZE = (640, 480)


@pytest.fixture(scope="module")
def layer():
    return HandLayer.free()


def _hands(layer, count=6, seed=0):
    """Hands, every second a left one, at known places; all fields true."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.3, (count, 16, 3))
    pose[:, 0] = rng.normal(0, 1.2, (count, 3))
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose).float())
    betas = torch.from_numpy(rng.normal(0, 1, (count, 10))).float()
    mesh = layer(rotations[:, :1], rotations[:, 1:], betas)
    vertices, joints = mesh.vertices.numpy().copy(), mesh.joints.numpy().copy()
    is_right = np.arange(count) % 2 == 0
    vertices[~is_right] = mirror_points(vertices[~is_right])
    joints[~is_right] = mirror_points(joints[~is_right])
    depth = rng.uniform(0.3, 1.5, (count, 1))
    pixel = rng.uniform([40, 40], [600, 440], (count, 2))
    cam_t = np.hstack(((pixel - K[:2, 2]) / (K[0, 0], K[1, 1]) * depth, depth)).astype(np.float32)
    return Hands(
        bbox_xyxy=np.zeros((count, 4), np.float32),
        confidence=np.ones(count, np.float32),
        is_right=is_right,
        image_size=SIZE,
        vertices=vertices,
        joints=joints,
        keypoints_2d=project(joints + cam_t[:, None], K),
        global_orient=rotations[:, 0].numpy(),
        hand_pose=rotations[:, 1:].numpy(),
        betas=betas.numpy(),
        cam_t=cam_t,
        K=K,
    )


def _depth_error(hands, true):
    """Of the wrists, relative to their depth."""
    wrist, wanted = (h.joints[:, 0, 2] + h.cam_t[:, 2] for h in (hands, true))
    return np.abs(wrist / wanted - 1).max()


# PnP


def test_exact_keypoints_give_the_exact_place(layer):
    true = _hands(layer)
    lost = replace(true, cam_t=np.tile(np.float32([0, 0, 1]), (6, 1)), keypoints_2d=None)
    found = place_by_keypoints(lost, true.keypoints_2d)
    assert np.abs(found.cam_t - true.cam_t).max() < 1e-4
    assert np.abs(found.keypoints_2d - true.keypoints_2d).max() < 1e-2


def test_noisy_keypoints_and_other_poses_stay_within_a_percent(layer):
    """Half a pixel of noise on hands of 100 px and more."""
    true = _hands(layer, 40, seed=1)
    noise = np.random.default_rng(0).normal(0, 0.5, true.keypoints_2d.shape)
    found = place_by_keypoints(true, true.keypoints_2d + noise)
    error = np.linalg.norm(found.cam_t - true.cam_t, axis=1) / true.cam_t[:, 2]
    assert np.median(error) < 0.005 and _depth_error(found, true) < 0.03


def test_ignored_keypoints_may_be_anywhere(layer):
    true = _hands(layer)
    wrong, confidence = true.keypoints_2d.copy(), np.ones((6, 21))
    wrong[:, 4:9] += 500
    assert _depth_error(place_by_keypoints(true, wrong), true) > 0.01
    for nothing in (0, -1, np.nan):
        confidence[:, 4:9] = nothing
        found = place_by_keypoints(true, wrong, confidence)
        assert np.abs(found.cam_t - true.cam_t).max() < 1e-4


def test_weights_are_those_of_least_squares(layer):
    """A point of weight two is the point twice."""
    true = _hands(layer, 1)
    noisy = true.keypoints_2d + np.random.default_rng(0).normal(0, 5, (1, 21, 2))
    weights = np.ones((1, 21))
    weights[:, :4] = 2
    twice = [*range(21), *range(4)]
    assert np.allclose(
        fit_translation(true.joints, noisy, K, weights),
        fit_translation(true.joints[:, twice], noisy[:, twice], K),
        atol=1e-9,
    )


def test_unknown_keypoints_are_left_out(layer):
    true = _hands(layer)
    pixels = true.keypoints_2d.copy()
    pixels[:, 4:9] = np.nan
    lost = replace(true, cam_t=true.cam_t + 0.1)
    assert np.abs(place_by_keypoints(lost, pixels).cam_t - true.cam_t).max() < 1e-4


def test_keypoints_of_no_hand_change_nothing(layer):
    true = _hands(layer, 2)
    turned = 2 * true.keypoints_2d.mean(1, keepdims=True) - true.keypoints_2d  # behind the camera
    one = np.where(np.arange(21)[:, None] == 5, true.keypoints_2d, np.nan)
    for pixels in (turned, one, np.full((2, 21, 2), np.nan)):
        assert np.array_equal(place_by_keypoints(true, pixels).cam_t, true.cam_t)
    collapsed = np.zeros((2, 21, 2))
    assert np.isfinite(place_by_keypoints(true, collapsed).cam_t).all()


# Known size


def _seen_by_a_network(true, factor):
    """Right in every pixel, but of another size, as one picture leaves open."""
    scale = np.float32(factor)
    return replace(
        true,
        vertices=true.vertices * scale,
        joints=true.joints * scale,
        cam_t=true.cam_t * scale,
    )


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_a_known_length_gives_the_true_distance(layer, factor):
    true = _hands(layer)
    seen = _seen_by_a_network(true, factor)
    found = with_hand_length(seen, hand_lengths(true.joints))
    assert _depth_error(found, true) < 1e-4
    assert np.abs(found.vertices - true.vertices).max() < 1e-5
    assert np.array_equal(found.keypoints_2d, seen.keypoints_2d)  # no pixel moves
    assert np.allclose(project(found.joints + found.cam_t[:, None], K), true.keypoints_2d, atol=0.1)
    assert np.allclose(found.scale, 1 / factor, rtol=1e-4)


def test_a_measured_depth_of_the_wrist_moves_no_pixel(layer):
    seen = _hands(layer)
    depths = np.full(len(seen), 0.8)
    depths[-1] = np.nan
    found = with_wrist_depth(seen, depths)
    wrists = (found.joints + found.cam_t[:, None])[:, 0, 2]
    np.testing.assert_allclose(wrists[:-1], 0.8, rtol=1e-5)
    np.testing.assert_array_equal(found.vertices[-1], seen.vertices[-1])
    again = project(found.joints + found.cam_t[:, None], found.K)
    before = project(seen.joints + seen.cam_t[:, None], seen.K)
    np.testing.assert_allclose(again, before, atol=1e-2)
    with pytest.raises(HandError, match="behind the camera"):
        with_wrist_depth(seen, -0.5)
    with pytest.raises(HandError, match="one number or"):
        with_wrist_depth(seen, [0.5] * (len(seen) + 1))


def test_one_length_for_all(layer):
    found = with_hand_length(_hands(layer), 0.19)
    assert np.allclose(hand_lengths(found.joints), 0.19, atol=1e-6)
    again = with_hand_length(found, 0.095)
    assert np.allclose(again.scale, found.scale / 2)


def test_length_is_that_of_the_flat_hand_whatever_the_pose(layer):
    flat = layer(torch.eye(3)[None], torch.eye(3).expand(1, 15, 3, 3), torch.zeros(1, 10))
    fist = roma.rotvec_to_rotmat(torch.full((1, 15, 3), 0.6))
    bent = layer(torch.eye(3)[None], fist, torch.zeros(1, 10))
    lengths = [float(hand_lengths(m.joints.numpy())[0]) for m in (flat, bent)]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.002)  # tips are skin, and move a little
    straight = np.linalg.norm(flat.joints[0, 12] - flat.joints[0, 0])
    assert straight == pytest.approx(lengths[0], rel=0.02)
    assert 0.15 < lengths[0] < 0.21


def test_known_betas_give_the_true_distance(layer):
    """The network took the hands for other hands, and placed those under the right pixels."""
    true = _hands(layer)
    seen = with_betas(true, layer, np.zeros(10))
    assert _depth_error(seen, true) > 0.02
    found = with_betas(seen, layer, true.betas)
    # The pixels of hands of another shape are not quite theirs; hence not exact.
    assert _depth_error(found, true) < 0.01
    assert np.abs(found.vertices - true.vertices).max() < 1e-5
    assert np.array_equal(found.betas, true.betas) and found.scale is None
    for wrong in (np.full(10, np.nan), np.full(10, 1e6)):
        with pytest.raises(HandError, match="betas must lie within"):
            with_betas(seen, layer, wrong)
    one = with_betas(seen, layer, true.betas[0])
    assert (one.betas == true.betas[0]).all()


def test_no_hands(layer):
    none = Hands.empty(SIZE)
    assert with_hand_length(none, 0.19) is none and with_betas(none, layer, np.zeros(10)) is none


@pytest.mark.parametrize("length", [19.0, 0.0, -0.2, float("nan"), [0.19] * 2, []])
def test_lengths_of_no_hand_are_refused(layer, length):
    with pytest.raises(HandError, match=r"metres|one number or 6"):
        with_hand_length(_hands(layer), length)


@pytest.mark.parametrize("shape", [(9,), (5, 10), (1, 10, 1)])
def test_betas_of_another_shape_are_refused(layer, shape):
    with pytest.raises(HandError, match=r"betas must be \(10,\) or \(6, 10\)"):
        with_betas(_hands(layer), layer, np.zeros(shape))


def test_what_cannot_be_placed(layer):
    with pytest.raises(HandError, match="HandReconstructor"):
        place_by_keypoints(Hands.empty(SIZE), np.zeros((0, 21, 2)))
    for wrong in (np.zeros((5, 21, 2)), np.zeros((6, 21, 3)), np.zeros((6, 17, 2))):
        with pytest.raises(HandError, match=r"6 hands need keypoints \(6, 21, 2\)"):
            place_by_keypoints(_hands(layer), wrong)
