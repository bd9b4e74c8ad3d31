from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wilor_yolo.data.hand_crops import CONTEXT, LARGEST, WEAK_3D, convert_hand_crops
from wilor_yolo.data.pictures import convert_pictures
from wilor_yolo.errors import HandError
from wilor_yolo.records import keypoint_box
from wilor_yolo.shards import iterate_samples


def _hand(center, reach, side="left", score=0.9, seed=0):
    rng = np.random.default_rng(seed)
    points = np.array(center) + rng.uniform(-reach, reach, (21, 2))
    world = rng.normal(0, 0.03, (21, 3))
    return {
        "side": side,
        "score": score,
        "keypoints_px": points.tolist(),
        "world_m": world.tolist(),
    }


def _folder(root, rows):
    """Pictures with a white dot at the first keypoint of every hand."""
    (root / "images").mkdir(parents=True)
    for row in rows:
        image = np.full((row["height"], row["width"], 3), 40, np.uint8)
        for hand in row.get("mediapipe", []):
            x, y = np.round(hand["keypoints_px"][0]).astype(int)
            hand["keypoints_px"][0] = [float(x), float(y)]
            cv2.circle(image, (int(x), int(y)), 6, (255, 255, 255), -1)
        cv2.imwrite(str(root / row["file"]), image)
    (root / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return root


def _row(name, hands, source="s", width=640, height=480, **more):
    return {
        "file": f"images/{name}.png", "source": source, "width": width, "height": height,
        "mediapipe": hands, **more,
    }  # fmt: skip


def test_keypoints_stay_on_the_pixels(tmp_path):
    hands = [_hand((320, 240), 90), _hand((60, 50), 45, "right", seed=1)]  # large; at the border
    convert_hand_crops(_folder(tmp_path / "in", [_row("a", hands)]), tmp_path / "out")
    samples = list(iterate_samples(tmp_path / "out", strict=True))
    assert [s.is_right for s in samples] == [False, True] and samples[0].key == "a_0"
    for sample, hand in zip(samples, hands, strict=True):
        bright = (sample.image[..., 0] > 150).astype(float)
        ys, xs = np.mgrid[: bright.shape[0], : bright.shape[1]]
        found = [(xs * bright).sum() / bright.sum(), (ys * bright).sum() / bright.sum()]
        np.testing.assert_allclose(found, sample.keypoints_2d[0, :2], atol=0.35)
        np.testing.assert_allclose(sample.keypoints_3d, hand["world_m"], atol=1e-6)
        assert sample.keypoints_3d_confidence == pytest.approx(WEAK_3D)
        assert not sample.has_parameters and sample.K is None
        np.testing.assert_allclose(sample.keypoints_2d[:, 2], 0.9, atol=1e-3)
        # The box is the package's rule applied to the stored keypoints.
        np.testing.assert_allclose(
            sample.bbox_xyxy, keypoint_box(sample.keypoints_2d[:, :2]), atol=1.0
        )
    assert max(samples[0].image.shape) == LARGEST
    side = max(samples[0].bbox_xyxy[2:] - samples[0].bbox_xyxy[:2])
    assert max(samples[0].image.shape) / side == pytest.approx(CONTEXT, rel=0.02)


def test_unsure_small_and_contradicted_hands(tmp_path):
    rows = [
        _row("low", [_hand((300, 200), 60, score=0.3)]),
        _row("small", [_hand((300, 200), 6)]),
        _row(
            "contradicted",
            [_hand((300, 200), 60)],
            boxes_xyxy=[[500, 300, 600, 400]],
            boxes_complete=True,
        ),
        _row(
            "confirmed",
            [_hand((300, 200), 60)],
            boxes_xyxy=[[235, 135, 365, 265]],
            boxes_complete=True,
        ),
        _row("nothing", []),
    ]
    summary = convert_hand_crops(_folder(tmp_path / "in", rows), tmp_path / "out")
    confidence = {s.key: float(s.keypoints_2d[0, 2]) for s in iterate_samples(tmp_path / "out")}
    assert confidence == pytest.approx({"contradicted_0": 0.45, "confirmed_0": 0.9})
    assert summary.left_out == {"hands below the least score": 1, "hands too small": 1}
    assert "train" in str(summary) and "left out: 1 hands too small" in str(summary)


def test_the_tail_of_every_source_becomes_validation(tmp_path):
    rows = [_row(f"a{i}", [_hand((300, 200), 60)], "a") for i in range(10)]
    rows += [_row(f"b{i}", [_hand((300, 200), 60)], "b") for i in range(5)]
    summary = convert_hand_crops(
        _folder(tmp_path / "in", rows), tmp_path / "t", tmp_path / "v", val_share=0.2
    )
    train = [s.key for s in iterate_samples(tmp_path / "t")]
    val = [s.key for s in iterate_samples(tmp_path / "v")]
    assert val == ["a8_0", "a9_0", "b4_0"] and len(train) == 12
    assert not set(train) & set(val)
    assert summary.train == {"a": 8, "b": 4} and summary.val == {"a": 2, "b": 1}


def test_the_detector_and_the_reconstructor_validate_on_the_same_pictures(tmp_path):
    rows = [_row(f"{name}{i}", [_hand((300, 200), 60)], name) for name in "ab" for i in range(31)]
    source = _folder(tmp_path / "in", rows)
    convert_pictures(source, tmp_path / "whole")
    convert_hand_crops(source, tmp_path / "t", tmp_path / "v")
    whole = {path.stem.split("_")[0] for path in (tmp_path / "whole" / "images" / "val").iterdir()}
    crops = {sample.key.split("_")[0] for sample in iterate_samples(tmp_path / "v")}
    assert crops == whole == {"a29", "a30", "b29", "b30"}


def test_finished_shards_are_not_mixed_with_others(tmp_path):
    source = _folder(tmp_path / "in", [_row("a" * 120, [_hand((300, 200), 60)])])
    convert_hand_crops(source, tmp_path / "t")  # a long name too
    with pytest.raises(HandError, match="holds shards already"):
        convert_hand_crops(source, tmp_path / "t")
    assert len(list(iterate_samples(tmp_path / "t"))) == 1


def test_missing_labels(tmp_path):
    with pytest.raises(HandError, match=r"labels\.jsonl"):
        convert_hand_crops(tmp_path, tmp_path / "out")
