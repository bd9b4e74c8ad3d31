from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.metrics.detection import (
    COCO_IOUS,
    SIZES,
    UNKNOWN,
    PictureHands,
    average_precision,
    best_pairs,
    box_iou,
    false_positives,
    handedness_accuracy,
    hands_of_size,
    mean_average_precision,
    recall,
)
from wilor_yolo.skeleton import LEFT, RIGHT

A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 60, 60]


def true(*boxes: list[float], sides: list[int] | None = None, keypoints=None) -> PictureHands:
    sides = [RIGHT] * len(boxes) if sides is None else sides
    array = np.array(boxes, float).reshape(-1, 4)
    return PictureHands(array, np.array(sides, int), None, keypoints)


def found(*rows: tuple[list[float], float], sides: list[int] | None = None, keypoints=None):
    sides = [RIGHT] * len(rows) if sides is None else sides
    boxes = np.array([box for box, _ in rows], float).reshape(-1, 4)
    return PictureHands(
        boxes, np.array(sides, int), np.array([s for _, s in rows], float), keypoints
    )


def test_iou_by_hand() -> None:
    overlap = box_iou(np.array([A, B], float), np.array([A, [5, 0, 15, 10], C], float))
    np.testing.assert_allclose(overlap, [[1, 1 / 3, 0], [0, 0, 0]])
    assert box_iou(np.zeros((0, 4)), np.array([A], float)).shape == (0, 1)


def test_perfect_and_empty() -> None:
    pictures = [(true(A, B), found((A, 0.9), (B, 0.8))), (true(C), found((C, 0.3)))]
    assert average_precision(pictures) == 1.0
    assert mean_average_precision(pictures) == 1.0
    assert average_precision([(true(A), found())]) == 0.0
    assert np.isnan(average_precision([(true(), found((A, 0.9)))]))
    assert np.isnan(mean_average_precision([]))


def test_average_precision_by_hand() -> None:
    """Right, wrong, right: precision 1 up to recall 1/2, 2/3 after it (101 points)."""
    pictures = [(true(A, B), found((A, 0.9), (C, 0.8), (B, 0.7)))]
    expected = (51 * 1.0 + 50 * 2 / 3) / 101
    assert average_precision(pictures) == pytest.approx(expected)


def test_a_second_prediction_on_a_hand_is_wrong() -> None:
    once = average_precision([(true(A, B), found((A, 0.9), (B, 0.5)))])
    twice = average_precision([(true(A, B), found((A, 0.9), (A, 0.8), (B, 0.5)))])
    assert once == 1.0 and twice < 1.0


def test_scores_are_ranked_across_pictures() -> None:
    good, bad = (true(A), found((A, 0.9))), (true(B), found((C, 0.95)))
    worse = average_precision([good, bad])
    better = average_precision([good, (true(B), found((C, 0.5)))])
    assert worse == pytest.approx(51 * 0.5 / 101) and better == pytest.approx(51 / 101)


def test_tighter_ious_are_harder() -> None:
    shifted = [0, 0, 10, 7.2]  # IoU 0.72
    pictures = [(true(A), found((shifted, 0.9)))]
    values = [average_precision(pictures, iou) for iou in COCO_IOUS]
    assert values == [1.0] * 5 + [0.0] * 5
    assert mean_average_precision(pictures) == pytest.approx(0.5)


def test_sides_matter_only_when_asked() -> None:
    pictures = [(true(A, B, sides=[LEFT, RIGHT]), found((A, 0.9), (B, 0.8)))]
    assert average_precision(pictures) == 1.0
    assert average_precision(pictures, side=LEFT) == 0.0
    assert average_precision(pictures, side=RIGHT) == pytest.approx((101 * 0.5) / 101)
    assert mean_average_precision(pictures, by_side=True) == pytest.approx(0.25)


def test_unknown_sides_are_neither_right_nor_wrong() -> None:
    pictures = [(true(A, B, sides=[UNKNOWN, RIGHT]), found((A, 0.9), (B, 0.8)))]
    assert average_precision(pictures, side=RIGHT) == 1.0
    assert np.isnan(average_precision(pictures, side=LEFT))
    assert mean_average_precision(pictures, by_side=True) == 1.0
    assert average_precision(pictures) == 1.0
    assert handedness_accuracy(pictures) == (1.0, 1)


def test_handedness() -> None:
    pictures = [
        (
            true(A, B, C, sides=[LEFT, RIGHT, LEFT]),
            found((A, 0.9), (B, 0.8), (C, 0.1), sides=[LEFT, LEFT, RIGHT]),
        )
    ]
    assert handedness_accuracy(pictures, score=0.25) == (0.5, 2)
    assert handedness_accuracy(pictures)[1] == 3
    accuracy, count = handedness_accuracy([(true(A), found())])
    assert np.isnan(accuracy) and count == 0


def test_recall_and_false_positives_at_a_score() -> None:
    pictures = [
        (true(A, B), found((A, 0.9), (C, 0.5), (B, 0.1))),
        (true(), found((A, 0.6))),
    ]
    assert recall(pictures, 0.25) == 0.5 and recall(pictures, 0.05) == 1.0
    assert false_positives(pictures, 0.25) == 1.0 and false_positives(pictures, 0.55) == 0.5
    assert np.isnan(recall([(true(), found())], 0.25)) and np.isnan(false_positives([], 0.25))


def test_sizes_by_hand() -> None:
    small, large = [0, 0, 20, 20], [100, 0, 300, 200]
    pictures = [(true(small, large), found((large, 0.9), ([400, 0, 420, 20], 0.8), (small, 0.7)))]
    assert [hands_of_size(pictures, size) for size in SIZES] == [2, 1, 0, 1]
    # The stray small prediction comes first among the small ones and does not touch the large.
    assert average_precision(pictures, size="small") == pytest.approx(0.5)
    assert average_precision(pictures, size="large") == 1.0
    assert np.isnan(average_precision(pictures, size="medium"))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="sides has shape"):
        PictureHands(np.zeros((2, 4)), np.zeros(3, int))
    with pytest.raises(ValueError, match="need scores"):
        average_precision([(true(A), true(A))])


def test_against_ultralytics() -> None:
    """The same curve as Ultralytics' own AP on random detections (its envelope is the same)."""
    from ultralytics.utils.metrics import ap_per_class

    rng = np.random.default_rng(0)
    pictures, hits, scores = [], [], []
    for _ in range(60):
        boxes = np.concatenate((rng.uniform(0, 40, (2, 2)), rng.uniform(60, 99, (2, 2))), 1)
        boxes[1] += 200
        predicted = boxes + rng.normal(0, 5, boxes.shape)
        score = rng.uniform(0, 1, 2)
        pictures.append((true(*boxes), found(*zip(predicted, score, strict=True))))
        hits += (np.diag(box_iou(predicted, boxes)) >= 0.75).tolist()
        scores += score.tolist()
    stock = ap_per_class(np.array(hits)[:, None], np.array(scores), np.zeros(120), np.zeros(120))[
        5
    ][0, 0]
    assert 0.1 < stock < 0.95
    assert average_precision(pictures, 0.75) == pytest.approx(stock, abs=0.01)


@pytest.mark.parametrize("size", SIZES)
def test_against_supervision(size: str) -> None:
    """COCO's numbers, on pictures with hands of all sizes, misses, doubles and wrong sides."""
    import supervision as sv
    from supervision.metrics import MeanAveragePrecision

    rng = np.random.default_rng(3)
    pictures, theirs = [], {False: MeanAveragePrecision(), True: MeanAveragePrecision()}
    for _ in range(80):
        count = rng.integers(1, 6)
        corner = rng.uniform(0, 500, (count, 2))
        boxes = np.concatenate((corner, corner + 8 * 2 ** rng.uniform(0, 5, (count, 2))), 1)
        sides = rng.integers(0, 2, count)
        chosen = np.concatenate((rng.permutation(count)[: count - 1], rng.integers(0, count, 3)))
        extent = np.tile(boxes[chosen, 2:] - boxes[chosen, :2], 2)
        moved = boxes[chosen] + extent * rng.normal(0, 0.08, (len(chosen), 4))
        guessed = np.where(rng.uniform(size=len(chosen)) < 0.8, sides[chosen], 1 - sides[chosen])
        scores = rng.uniform(0, 1, len(chosen))
        mine = PictureHands(boxes, sides), PictureHands(moved, guessed, scores)
        pictures.append(mine)
        for by_side, metric in theirs.items():
            metric.update(
                sv.Detections(moved, confidence=scores, class_id=guessed * by_side),
                sv.Detections(boxes, class_id=sides * by_side),
            )
    for by_side, metric in theirs.items():
        result = metric.compute()
        result = result if size == "all" else getattr(result, f"{size}_objects")
        assert 0.02 < result.map50_95 < 0.9
        ours = mean_average_precision(pictures, by_side=by_side, size=size)
        assert ours == pytest.approx(result.map50_95, abs=1e-3)
        at_half = mean_average_precision(pictures, (0.5,), by_side, size)
        assert at_half == pytest.approx(result.map50, abs=1e-3)


def test_best_pairs_take_each_row_and_column_once():
    likeness = np.array([[0.9, 0.8, 0.0], [0.85, 0.3, 0.29]])
    assert best_pairs(likeness, 0.3) == [(0, 0), (1, 1)]
    assert best_pairs(likeness, 0.31) == [(0, 0)]
    assert best_pairs(np.zeros((2, 0)), 0.3) == best_pairs(np.zeros((0, 2)), 0.3) == []
