from __future__ import annotations

import random

import numpy as np
import pytest
from ultralytics.data.augment import RandomPerspective
from ultralytics.utils.instance import Instances

from wilor_yolo.detect.augment import HandFlip, HandMask, HandPerspective, HandTurn
from wilor_yolo.detect.sides import UNSURE_CLASS
from wilor_yolo.skeleton import LEFT, RIGHT


def labels_of(
    boxes: np.ndarray, classes: list[float], keypoints: np.ndarray, size: int = 200
) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "img": rng.integers(0, 255, (size, size, 3), dtype=np.uint8),
        "cls": np.array(classes, np.float32)[:, None],
        "instances": Instances(
            boxes.astype(np.float32),
            np.zeros((0, 1000, 2), np.float32),
            keypoints.astype(np.float32),
            bbox_format="xyxy",
            normalized=False,
        ),
    }


@pytest.fixture
def three_hands() -> dict[str, object]:
    """A left hand, a right hand and one of unknown side, keypoints inside their boxes."""
    rng = np.random.default_rng(1)
    boxes = np.array([[10, 20, 60, 90], [100, 30, 180, 80], [40, 110, 120, 190]])
    keypoints = np.full((3, 21, 3), 2.0)
    for i, box in enumerate(boxes):
        keypoints[i, :, :2] = rng.uniform(box[:2], box[2:], (21, 2))
    return labels_of(boxes, [LEFT, RIGHT, UNSURE_CLASS], keypoints)


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_flip_swaps_class_and_keeps_order(three_hands: dict, direction: str) -> None:
    before = three_hands["instances"].keypoints.copy()
    image = three_hands["img"].copy()
    flipped = HandFlip(1.0, direction, list(range(21)))(three_hands)
    assert flipped["cls"].ravel().tolist() == [RIGHT, LEFT, UNSURE_CLASS]
    axis = 0 if direction == "horizontal" else 1
    expected = before.copy()
    expected[..., axis] = 200 - before[..., axis]
    np.testing.assert_allclose(flipped["instances"].keypoints, expected)
    np.testing.assert_array_equal(flipped["img"], np.flip(image, 1 - axis))


def test_flip_twice_is_nothing(three_hands: dict) -> None:
    classes, keypoints = three_hands["cls"].copy(), three_hands["instances"].keypoints.copy()
    flip = HandFlip(1.0, "horizontal", list(range(21)))
    twice = flip(flip(three_hands))
    np.testing.assert_array_equal(twice["cls"], classes)
    np.testing.assert_allclose(twice["instances"].keypoints, keypoints, atol=1e-4)


def test_flip_not_drawn_changes_nothing(three_hands: dict) -> None:
    kept = HandFlip(0.0, "horizontal", list(range(21)))(three_hands)
    assert kept["cls"].ravel().tolist() == [LEFT, RIGHT, UNSURE_CLASS]


def test_a_turn_moves_pixels_boxes_and_keypoints_alike(three_hands: dict) -> None:
    random.seed(3)
    image, instances = three_hands["img"].copy(), three_hands["instances"]
    boxes, keypoints = instances.bboxes.copy(), instances.keypoints.copy()
    classes = three_hands["cls"].copy()
    shapes = set()
    for _ in range(12):
        turned = HandTurn(1.0)(three_hands)
        shapes.add(turned["img"].shape[:2])
        assert (turned["cls"] == classes).all()
        hand = turned["instances"].keypoints[0]
        box = turned["instances"].bboxes[0]
        assert (hand[:, :2] >= box[:2]).all() and (hand[:, :2] <= box[2:]).all()
        x, y = (int(v) for v in hand[0, :2])
        was_x, was_y = (int(v) for v in keypoints[0, 0, :2])
        near = turned["img"][max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(-1, 3)
        assert (near == image[was_y, was_x]).all(1).any()
    assert shapes == {(200, 200)}
    while turned["img"].shape != image.shape or (turned["img"] != image).any():
        HandTurn._quarter(turned)
    np.testing.assert_allclose(turned["instances"].bboxes, boxes, atol=1e-3)
    np.testing.assert_allclose(turned["instances"].keypoints, keypoints, atol=1e-3)


def test_turns_keep_the_shape_of_rectangular_batches(three_hands: dict) -> None:
    three_hands["img"] = three_hands["img"][:, :160]
    image = three_hands["img"].copy()
    for _ in range(4):
        turned = HandTurn(1.0)(three_hands)["img"]
        assert turned.shape == image.shape
    np.testing.assert_array_equal(HandTurn(1.0)(three_hands)["img"], image[::-1, ::-1])


def test_a_turn_not_drawn_changes_nothing(three_hands: dict) -> None:
    image = three_hands["img"].copy()
    np.testing.assert_array_equal(HandTurn(0.0)(three_hands)["img"], image)


def rotation(degrees: float, centre: float = 100.0) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = -centre, centre
    return back @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ to


def params_of(matrix: np.ndarray) -> dict[str, object]:
    return {"M": matrix, "scale": 1.0, "orig_shape": (200, 200), "size": (200, 200)}


def test_boxes_unchanged_without_rotation(three_hands: dict) -> None:
    before = three_hands["instances"].bboxes.copy()
    moved = HandPerspective().apply_instances(three_hands, params_of(np.eye(3)))
    np.testing.assert_allclose(moved["instances"].bboxes, before, atol=0.5)


def test_boxes_tighter_than_stock_and_around_keypoints() -> None:
    box = np.array([[60, 60, 140, 140]])
    angles = np.linspace(0, 2 * np.pi, 21, endpoint=False)
    keypoints = np.full((1, 21, 3), 2.0)
    keypoints[0, :, :2] = 100 + 39 * np.stack((np.cos(angles), np.sin(angles)), 1)
    matrix = rotation(45)
    ours = HandPerspective().apply_instances(labels_of(box, [0], keypoints), params_of(matrix))
    stock = RandomPerspective().apply_instances(labels_of(box, [0], keypoints), params_of(matrix))
    area = [
        np.prod(x["instances"].bboxes[0, 2:] - x["instances"].bboxes[0, :2]) for x in (ours, stock)
    ]
    assert area[0] == pytest.approx(80**2, rel=0.02)
    assert area[1] == pytest.approx(2 * 80**2, rel=0.02)
    points = ours["instances"].keypoints[0, :, :2]
    assert (points >= ours["instances"].bboxes[0, :2] - 1e-3).all()
    assert (points <= ours["instances"].bboxes[0, 2:] + 1e-3).all()


def test_unlabelled_keypoints_do_not_widen_boxes() -> None:
    box = np.array([[60, 60, 140, 140]])
    moved = HandPerspective().apply_instances(
        labels_of(box, [0], np.zeros((1, 21, 3))), params_of(rotation(30))
    )
    assert np.prod(moved["instances"].bboxes[0, 2:] - moved["instances"].bboxes[0, :2]) < 81**2


def test_affine_filters_classes_with_boxes(three_hands: dict) -> None:
    shift = np.eye(3)
    shift[0, 2] = -130  # pushes the first hand and the third out of the picture
    moved = HandPerspective().apply_instances(three_hands, params_of(shift))
    assert moved["cls"].ravel().tolist() == [RIGHT]
    assert len(moved["instances"]) == 1


def test_mask_marks_covered_keypoints_and_spares_hands(three_hands: dict) -> None:
    random.seed(0)
    np.random.seed(0)
    before = three_hands["img"].copy()
    boxes = three_hands["instances"].bboxes.copy()
    covered = 0
    for _ in range(30):
        labels = labels_of(boxes, [0, 1, 0.5], three_hands["instances"].keypoints)
        labels["img"] = before.copy()
        masked = HandMask(1.0)(labels)
        changed = (masked["img"] != before).any(-1)
        for box, keypoints in zip(boxes.astype(int), masked["instances"].keypoints, strict=True):
            inside = changed[box[1] : box[3], box[0] : box[2]]
            assert inside.mean() <= HandMask.MOST + 0.05  # patches have whole pixels
            for x, y, visibility in keypoints:
                if changed[int(y), int(x)]:
                    assert visibility == 1
                    covered += 1
                elif not changed[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].any():
                    assert visibility == 2
    assert covered > 20


def test_mask_leaves_unknown_keypoints_unknown(three_hands: dict) -> None:
    random.seed(0)
    three_hands["instances"].keypoints[...] = 0
    for _ in range(10):
        three_hands = HandMask(1.0)(three_hands)
    assert (three_hands["instances"].keypoints == 0).all()


def test_mask_without_hands() -> None:
    labels = labels_of(np.zeros((0, 4)), [], np.zeros((0, 21, 3)))
    before = labels["img"].copy()
    random.seed(0)
    assert (HandMask(1.0)(labels)["img"] != before).any()
