"""The evaluation is tried on a reconstructor that knows the truth and errs by a known amount."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.reconstruction import (
    FINGER_JOINTS,
    evaluate_pictures,
    evaluate_shards,
)
from wilor_yolo.geometry import released_intrinsics
from wilor_yolo.hands import Hands
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards

K = np.array([[600, 0, 160], [0, 600, 120], [0, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def hand():
    return HandLayer.free()


def _posed(hand, seed, is_right):
    """Parameters, and the mesh and joints in the picture's own camera frame."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.3, (16, 3)).astype(np.float32)
    betas = rng.normal(0, 1, 10).astype(np.float32)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose))[None]
    mesh = hand(rotations[:, :1], rotations[:, 1:], torch.from_numpy(betas)[None])
    cam_t = np.array([0.01, -0.01, 0.7], np.float32)
    sign = np.array([1 if is_right else -1, 1, 1], np.float32)
    vertices = (mesh.vertices[0].numpy() + cam_t) * sign
    joints = (mesh.joints[0].numpy() + cam_t) * sign
    return pose, betas, cam_t, vertices, joints


def _project(points):
    homogeneous = points @ K.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


class Oracle:
    """Looks the answer up by the side asked for, then errs."""

    def intrinsics_of_crops(self, width, height):
        return released_intrinsics(width, height)  # not what anybody would take by default

    def __init__(self, answers, spoil=lambda joints: joints, shift_px=0.0):
        self.answers, self.spoil, self.shift_px = answers, spoil, shift_px
        self.asked = []

    def reconstruct_boxes(self, image, bbox_xyxy, is_right, K=None):
        self.asked.append((bbox_xyxy, is_right, K))
        vertices, joints = zip(*(self.answers[bool(side)] for side in is_right), strict=True)
        joints = np.stack([self.spoil(j.copy()) for j in joints])
        count = len(joints)
        return Hands(
            bbox_xyxy=np.asarray(bbox_xyxy),
            confidence=np.ones(count, np.float32),
            is_right=np.asarray(is_right),
            image_size=image.shape[1::-1],
            vertices=np.stack(vertices),
            joints=joints,
            keypoints_2d=np.stack([_project(j) + np.array([self.shift_px, 0]) for j in joints]),
        )


@pytest.fixture(scope="module")
def setting(hand, tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    answers, samples = {}, []
    for is_right in (True, False):
        pose, betas, cam_t, vertices, joints = _posed(hand, int(is_right), is_right)
        answers[is_right] = (vertices, joints)
        pixels = _project(joints)
        samples.append(
            HandSample(
                image=np.zeros((240, 320, 3), np.uint8),
                is_right=is_right,
                bbox_xyxy=np.concatenate((pixels.min(0), pixels.max(0))),
                keypoints_2d=np.column_stack((pixels, np.ones(21))),
                source="synth" if is_right else "other",
                key=f"k{int(is_right)}",
                keypoints_3d=joints,
                K=K,
                global_orient=pose[0],
                hand_pose=pose[1:].reshape(45),
                betas=betas,
                cam_t=cam_t,
            )
        )
    write_shards(samples, root)
    return root, answers, samples


def test_truth_scores_perfectly_on_both_sides(setting):
    root, answers, _ = setting
    report = evaluate_shards(Oracle(answers), root)
    assert list(report.sources) == ["synth", "other"]
    for scores in report.sources.values():
        assert scores.hands == 1
        assert max(scores.pa_mpjpe, scores.pa_mpvpe, scores.mpjpe) < 0.01
        assert scores.auc == pytest.approx(1, abs=0.01) and scores.f5 == scores.f15 == 1
        assert scores.error_2d < 1e-4


def test_guesses_are_no_yardstick(setting, tmp_path):
    """Neither joints at the bar, as WHIM's, nor parameters beside them, as of single-view fits."""
    _, answers, samples = setting
    confidences = (0.5, 0.51)
    write_shards(
        [
            replace(samples[0], key=str(i), source=str(c), keypoints_3d_confidence=c)
            for i, c in enumerate(confidences)
        ],
        tmp_path,
    )
    weak, sure = evaluate_shards(Oracle(answers), tmp_path).sources.values()
    assert np.isnan([weak.pa_mpjpe, weak.mpjpe, weak.pa_mpvpe, weak.f5]).all()
    assert weak.error_2d < 1e-4  # the picture is still one
    assert np.isfinite([sure.pa_mpjpe, sure.mpjpe, sure.pa_mpvpe, sure.f5]).all()


def test_the_truth_is_posed_with_the_hand_asked_for(setting):
    root, answers, _ = setting
    model = load_hand_model()
    stretched = HandLayer(replace(model, v_template=model.v_template * np.float32([1, 1.6, 0.8])))
    report = evaluate_shards(Oracle(answers), root, stretched)
    assert all(s.pa_mpvpe > 1 and s.pa_mpjpe < 0.01 for s in report.sources.values())


def test_a_mirrored_answer_is_punished(setting):
    root, answers, _ = setting
    swapped = {s: tuple(a * np.array([-1, 1, 1]) for a in answers[s]) for s in answers}
    report = evaluate_shards(Oracle(swapped), root)
    assert all(s.pa_mpjpe > 3 and s.pa_mpvpe > 3 for s in report.sources.values())


def test_known_errors(setting):
    root, answers, samples = setting

    def lift_wrist(joints):
        joints[0, 2] += 0.03
        return joints

    scores = evaluate_shards(Oracle(answers, lift_wrist, 6.0), root, limit=1).sources["synth"]
    assert scores.pa_mpjpe > 1 and scores.pa_mpjpe_fingers < 0.01  # the wrist is left out
    assert 0 not in FINGER_JOINTS and len(FINGER_JOINTS) == 16
    assert scores.mpjpe == pytest.approx(30 * 20 / 21, rel=1e-3)
    width, height = samples[0].bbox_xyxy[2:] - samples[0].bbox_xyxy[:2]
    assert scores.median_2d == pytest.approx(6 / max(width, height), rel=1e-3)


def test_pictures_with_true_joints_and_with_an_annotator(setting, tmp_path, hand):
    _, answers, _ = setting
    (tmp_path / "images").mkdir()
    rows = []
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.zeros((240, 320, 3), np.uint8))
    base = {"width": 320, "height": 240}
    left, right = answers[False][1], answers[True][1]
    rows.append(
        {
            **base, "file": "images/a.png", "source": "hand_graph_cnn", "side": "left",
            "joints_3d_m": left.tolist(), "K": K.tolist(),
        }
    )  # fmt: skip
    found = [
        {"side": side, "score": score, "keypoints_px": _project(points).tolist()}
        for side, points, score in (
            ("right", right, 0.95),
            ("left", left, 0.9),
            ("left", left, 0.4),
        )
    ]
    rows.append({**base, "file": "images/b.png", "source": "web", "mediapipe": found})
    rows.append({**base, "file": "images/c.png", "source": "empty"})
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    oracle = Oracle(answers)
    report = evaluate_pictures(oracle, tmp_path)
    assert list(report.sources) == ["hand_graph_cnn", "web"]
    assert report.sources["hand_graph_cnn"].pa_mpjpe < 0.01
    web = report.sources["web"]
    assert web.hands == 2 and np.isnan(web.pa_mpjpe) and web.error_2d < 1e-4
    # The truth's camera is handed on; of a picture without one it is the reconstructor's own.
    np.testing.assert_allclose(oracle.asked[0][2], K)
    np.testing.assert_allclose(oracle.asked[1][2], oracle.intrinsics_of_crops(320, 240))
    assert oracle.asked[1][1].tolist() == [True, False]
    assert "5.4 mm" in str(report)
    only = evaluate_pictures(oracle, tmp_path, sources=["web"])
    assert list(only.sources) == ["web"]
    with pytest.raises(HandError, match="nothing to score"):
        evaluate_pictures(oracle, tmp_path, sources=["nowhere"])
