"""Posed hands in front of a camera, with the picture of their two most different finger tips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import roma
import torch

from wilor_yolo.data.detection_formats import read_pictures
from wilor_yolo.data.formats import SetOptions
from wilor_yolo.data.raw_hand import ReadReport
from wilor_yolo.data.yolo_check import check_yolo_set
from wilor_yolo.data.yolo_labels import HandLabel, label_path, read_labels
from wilor_yolo.data.yolo_set import picture_files, write_yolo_set
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.skeleton import LEFT, RIGHT

THUMB_TIP, PINKY_TIP = 4, 20
RED, GREEN = (0, 0, 255), (0, 255, 0)  # BGR
Labelled = tuple[np.ndarray, tuple[HandLabel, ...]]  # picture BGR, its hands


@dataclass(frozen=True)
class PosedHand:
    """A true hand: `joints` (21, 3) m in the camera, `pose` (48,) and `betas` of a right hand."""

    joints: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    is_right: bool

    def keypoints(self, K: np.ndarray) -> np.ndarray:
        seen = self.joints @ K.T
        return seen[:, :2] / seen[:, 2:]

    @property
    def own_pose(self) -> np.ndarray:
        """(48,) as a data set labels it: of the hand's own side."""
        sign = np.array([1, 1, 1] if self.is_right else [1, -1, -1])
        return (self.pose.reshape(16, 3) * sign).reshape(48)


@pytest.fixture(scope="session")
def free_layer() -> HandLayer:
    return HandLayer(load_hand_model())


@pytest.fixture
def posed_hand(free_layer: HandLayer) -> Callable[..., PosedHand]:
    """``posed_hand(seed, is_right=True, at=(0, 0, 0.6))`` -> `PosedHand`."""

    def make(
        seed: int, is_right: bool = True, at: tuple[float, float, float] = (0, 0, 0.6)
    ) -> PosedHand:
        rng = np.random.default_rng(seed)
        pose = rng.normal(0, 0.2, 48)
        pose[:3] = rng.normal(0, 1, 3)
        betas = rng.normal(0, 0.5, 10)
        turns = roma.rotvec_to_rotmat(torch.tensor(pose, dtype=torch.float32).reshape(1, 16, 3))
        shape = torch.tensor(betas, dtype=torch.float32)[None]
        joints = free_layer(turns[:, :1], turns[:, 1:], shape).joints[0].double().numpy()
        joints = joints - joints.mean(0)
        if not is_right:
            joints = joints * [-1, 1, 1]
        return PosedHand(joints + np.array(at), pose, betas, is_right)

    return make


@pytest.fixture
def photograph() -> Callable[..., np.ndarray]:
    """``photograph([hand], K, (w, h))``: black, each thumb tip red and little finger tip green."""

    def take(hands: list[PosedHand], K: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        image = np.zeros((size[1], size[0], 3), np.uint8)
        for hand in hands:
            points = hand.keypoints(K)
            for joint, colour in ((THUMB_TIP, RED), (PINKY_TIP, GREEN)):
                cv2.circle(image, tuple(int(v) for v in points[joint].round()), 5, colour, -1)
        return image

    return take


@pytest.fixture
def assert_true() -> Callable[..., None]:
    """``assert_true(sample, hand)``: labels and pixels of a sample are those of a posed hand."""

    def check(sample, hand: PosedHand, keypoints_only: bool = False) -> None:
        assert sample.is_right == hand.is_right
        points = sample.keypoints_2d
        x0, y0, x1, y1 = sample.bbox_xyxy
        assert (points[:, 0] >= x0).all() and (points[:, 0] <= x1).all()
        assert (points[:, 1] >= y0).all() and (points[:, 1] <= y1).all()
        # Mirror a left picture's colours along: the tips lie where the keypoints say.
        for joint, colour in ((THUMB_TIP, RED), (PINKY_TIP, GREEN)):
            x, y = points[joint, :2].round().astype(int)
            got = sample.image[y, x].astype(int)
            assert np.abs(got - colour).max() < 90, (joint, got)
        if keypoints_only:
            return
        relative = sample.keypoints_3d - sample.keypoints_3d[0]
        np.testing.assert_allclose(relative, hand.joints - hand.joints[0], atol=1e-5)
        if sample.K is not None:
            seen = sample.keypoints_3d @ sample.K.T
            np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], points[:, :2], atol=0.05)

    return check


@pytest.fixture
def assert_parameters(free_layer: HandLayer) -> Callable[..., None]:
    """``assert_parameters(sample, hand)``: the right-hand view posed gives the true joints."""

    def check(sample, hand: PosedHand) -> None:
        vector = np.concatenate((sample.global_orient, sample.hand_pose)).reshape(1, 16, 3)
        turns = roma.rotvec_to_rotmat(torch.from_numpy(vector).float())
        shape = torch.from_numpy(sample.betas)[None].float()
        joints = free_layer(turns[:, :1], turns[:, 1:], shape).joints[0].numpy()
        if not hand.is_right:
            joints = joints * [-1, 1, 1]
        off = (joints - joints[0]) - (hand.joints - hand.joints[0])
        assert np.linalg.norm(off, axis=1).max() < 1e-4

    return check


@pytest.fixture
def detector_set(tmp_path) -> Callable[..., tuple[ReadReport, list[Labelled]]]:
    """``detector_set(options)``: converted, checked and read back, picture by picture."""

    def convert(options: SetOptions, strict: bool = True) -> tuple[ReadReport, list[Labelled]]:
        report = ReadReport(strict)
        pictures = read_pictures(options, report)
        part = options.split
        data_yaml = write_yolo_set(pictures, tmp_path / "yolo", part, report)
        # Fixtures show the same scene more than once; nothing else may be wrong.
        assert set(check_yolo_set(data_yaml).kinds) <= {"pictures twice"}
        read = []
        for file in picture_files(data_yaml, [part])[part]:
            image = cv2.imread(str(file))
            size = (image.shape[1], image.shape[0])
            read.append((image, read_labels(label_path(file), size)))
        return report, read

    return convert


@pytest.fixture
def assert_labelled() -> Callable[..., None]:
    """``assert_labelled(image, label, hand, K)``: a label is that of a posed hand, in the picture
    too. It counts from the border, K from the middle of the first pixel; ``moved=0``: the set had
    keypoints of its own."""

    def check(
        image: np.ndarray, label: HandLabel, hand: PosedHand, K: np.ndarray, moved: float = 0.5
    ) -> None:
        assert label.side == (RIGHT if hand.is_right else LEFT)
        points = hand.keypoints(K) + moved
        known = label.keypoints[:, 2] > 0
        assert known.sum() >= 20
        np.testing.assert_allclose(label.keypoints[known, :2], points[known], atol=0.01)
        assert (label.box[:2] <= points[known].min(0)).all()
        assert (label.box[2:] >= points[known].max(0)).all()
        for joint, colour in ((THUMB_TIP, RED), (PINKY_TIP, GREEN)):
            x, y = label.keypoints[joint, :2].astype(int)
            assert np.abs(image[y, x].astype(int) - colour).max() < 90

    return check
