from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from wilor_yolo.data.pictures import convert_pictures
from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.errors import HandError, ImageError
from wilor_yolo.skeleton import LEFT, RIGHT

SIZE = (200, 100)  # width, height


def hand(x: float, y: float, side: str = "left", score: float = 0.95, reach: float = 20.0) -> dict:
    """A found hand whose keypoints fill a square of `reach` px from (x, y)."""
    steps = np.linspace(0, reach, 21)
    points = np.stack((x + steps, y + steps), 1)
    return {"side": side, "score": score, "keypoints_px": points.tolist()}


def write_set(root: Path, rows: list[dict]) -> Path:
    (root / "images").mkdir(parents=True)
    lines = []
    for index, row in enumerate(rows):
        name = f"images/{row.get('source', 's')}_{index:03d}.jpg"
        image = np.full((SIZE[1], SIZE[0], 3), 60 + index, np.uint8)
        cv2.imwrite(str(root / name), image)
        base = {"file": name, "source": "s", "width": SIZE[0], "height": SIZE[1]}
        lines.append(json.dumps(base | row))
    (root / "labels.jsonl").write_text("\n".join(lines))
    return root


def labels(target: Path, part: str = "train") -> dict[str, np.ndarray]:
    return {
        file.stem: np.array(
            [line.split() for line in file.read_text().splitlines()], float
        ).reshape(-1, 5 + 63)
        for file in sorted((target / "labels" / part).glob("*.txt"))
    }


def convert_one(tmp_path: Path, row: dict) -> dict[str, np.ndarray]:
    convert_pictures(write_set(tmp_path / "in", [row]), tmp_path / "out", val_share=0)
    return labels(tmp_path / "out")


def boxed(*found: dict, boxes: list | None = None, complete: bool = True) -> dict:
    boxes = [[38, 38, 64, 64]] if boxes is None else boxes
    return {"boxes_xyxy": boxes, "boxes_complete": complete, "mediapipe": list(found)}


def test_a_matched_box_has_side_and_keypoints(tmp_path) -> None:
    (rows,) = convert_one(tmp_path, boxed(hand(40, 40, "right"))).values()
    assert rows.shape == (1, 68)
    np.testing.assert_allclose(
        rows[0, :5], [RIGHT, 51 / 200, 51 / 100, 26 / 200, 26 / 100], atol=1e-5
    )
    points = rows[0, 5:].reshape(21, 3)
    np.testing.assert_allclose(points[0], [0.2, 0.4, 2], atol=1e-5)
    np.testing.assert_allclose(points[20], [0.3, 0.6, 2], atol=1e-5)


def test_an_unsure_side_keeps_keypoints_only(tmp_path) -> None:
    (rows,) = convert_one(tmp_path, boxed(hand(40, 40, score=0.6))).values()
    assert rows[0, 0] == UNKNOWN_SIDE and (rows[0, 7::3] == 2).all()


def test_an_unmatched_box_is_a_hand_of_unknown_side(tmp_path) -> None:
    (rows,) = convert_one(tmp_path, boxed()).values()
    assert rows[0, 0] == UNKNOWN_SIDE and (rows[0, 5:] == 0).all()


def test_each_found_hand_serves_one_box_the_best(tmp_path) -> None:
    boxes = [[30, 30, 60, 60], [38, 38, 62, 62]]
    (rows,) = convert_one(tmp_path, boxed(hand(40, 40), boxes=boxes)).values()
    assert rows[:, 0].tolist() == [UNKNOWN_SIDE, LEFT]


def test_hands_outside_boxes(tmp_path) -> None:
    """A sure one far away is a hand, an unsure one is not, one at a box's corner is not."""
    row = boxed(hand(40, 40), hand(150, 40, "right"), hand(100, 5, score=0.5), hand(58, 58))
    (rows,) = convert_one(tmp_path, row).values()
    assert rows[:, 0].tolist() == [LEFT, RIGHT]
    # 20 px of keypoints, 2 px of padding around them
    np.testing.assert_allclose(rows[1, 3:5], [24 / 200, 24 / 100], atol=1e-5)


def test_keypoints_outside_the_picture_are_unknown(tmp_path) -> None:
    (rows,) = convert_one(tmp_path, boxed(hand(190, 40), boxes=[[188, 38, 200, 62]])).values()
    points = rows[0, 5:].reshape(21, 3)
    assert points[0, 2] == 2 and (points[-1] == 0).all()
    assert (rows[0, 1:5] <= 1).all() and (points[:, :2] <= 1).all()


def test_a_picture_nobody_searched_is_empty(tmp_path) -> None:
    (rows,) = convert_one(tmp_path, {}).values()
    assert len(rows) == 0


def test_two_sure_hands_without_boxes_are_a_whole_picture(tmp_path) -> None:
    found = convert_one(tmp_path, {"mediapipe": [hand(20, 40), hand(150, 40, "right")]})
    assert list(found) == ["s_000"] and found["s_000"][:, 0].tolist() == [LEFT, RIGHT]


def test_one_sure_hand_without_boxes_is_cut_out(tmp_path) -> None:
    found = convert_one(tmp_path, {"mediapipe": [hand(20, 40, "right"), hand(150, 40, score=0.5)]})
    assert list(found) == ["s_000_cut0"]
    picture = cv2.imread(str(tmp_path / "out/images/train/s_000_cut0.jpg"))
    height, width = picture.shape[:2]
    assert width < 100  # the other hand is not in it
    row = found["s_000_cut0"][0]
    assert row[0] == RIGHT
    x, y = row[5] * width, row[6] * height  # back in the whole picture: (20, 40)
    assert (20 - x, 40 - y) == (pytest.approx(0, abs=0.01), pytest.approx(14, abs=0.01))


def test_incomplete_boxes_are_cut_out(tmp_path) -> None:
    boxes = [[20, 40, 40, 60], [150, 40, 170, 60]]
    found = convert_one(tmp_path, boxed(boxes=boxes, complete=False))
    assert list(found) == ["s_000_cut0", "s_000_cut1"]
    assert all(len(rows) == 1 for rows in found.values())


def test_nothing_sure_is_skipped(tmp_path) -> None:
    summary = convert_pictures(
        write_set(tmp_path / "in", [{"mediapipe": [hand(20, 40, score=0.4)]}, boxed()]),
        tmp_path / "out",
        val_share=0,
    )
    assert summary.counts["s"]["skipped"] == 1 and summary.counts["s"]["pictures"] == 1
    assert "side unknown" in str(summary)


def test_the_tail_of_each_source_is_for_validation(tmp_path) -> None:
    rows = [boxed() | {"source": "a"}] * 8 + [boxed() | {"source": "b"}] * 3
    summary = convert_pictures(write_set(tmp_path / "in", rows), tmp_path / "out", val_share=1 / 4)
    assert sorted(labels(tmp_path / "out", "val")) == ["a_006", "a_007"]
    assert len(labels(tmp_path / "out")) == 9
    data = yaml.safe_load(summary.data_yaml.read_text())
    assert data["names"] == {0: "left", 1: "right"} and data["kpt_shape"] == [21, 3]
    assert len(data["kpt_oks_sigmas"]) == len(data["kpt_names"][0]) == 21
    assert (Path(data["path"]) / data["val"]).is_dir() and "flip_idx" not in data
    images = sorted(p.stem for p in (tmp_path / "out/images/train").iterdir())
    assert images == sorted(labels(tmp_path / "out"))


def test_converting_again_changes_nothing(tmp_path) -> None:
    source = write_set(tmp_path / "in", [boxed(hand(40, 40))] * 3)
    first = convert_pictures(source, tmp_path / "out", val_share=1 / 3)
    before = labels(tmp_path / "out")
    second = convert_pictures(source, tmp_path / "out", val_share=1 / 3)
    assert first.counts == second.counts
    assert before.keys() == labels(tmp_path / "out").keys()


def test_a_picture_is_in_one_part_only(tmp_path) -> None:
    source = write_set(tmp_path / "in", [boxed(hand(40, 40))] * 6)
    convert_pictures(source, tmp_path / "out", val_share=1 / 3)
    assert sorted(labels(tmp_path / "out", "val")) == ["s_004", "s_005"]
    convert_pictures(source, tmp_path / "out", val_share=1 / 6)
    assert sorted(labels(tmp_path / "out", "val")) == ["s_005"]
    assert len(labels(tmp_path / "out")) == 5
    for part, count in (("train", 5), ("val", 1)):
        assert len(list((tmp_path / "out/images" / part).iterdir())) == count


def test_measured_joints_are_a_hand(tmp_path) -> None:
    joints = np.zeros((21, 3))
    joints[:, 2] = 0.5
    joints[:, 0] = np.linspace(-0.05, 0.05, 21)
    row = {
        "joints_3d_m": joints.tolist(),
        "K": [[200, 0, 100], [0, 200, 50], [0, 0, 1]],
        "side": "right",
    }
    (rows,) = convert_one(tmp_path, row).values()
    assert rows.shape == (1, 68) and rows[0, 0] == RIGHT
    assert rows[0, 5] * SIZE[0] == pytest.approx(80.5, abs=0.01)  # from the picture's border
    assert rows[0, 1:3] * SIZE == pytest.approx([100.5, 50.5], abs=0.01)  # middle of the box


def test_two_pictures_of_one_name_are_refused(tmp_path) -> None:
    source = write_set(tmp_path / "in", [boxed(hand(40, 40))])
    line = (source / "labels.jsonl").read_text()
    (source / "labels.jsonl").write_text(line + "\n" + line.replace("images/", "more/"))
    with pytest.raises(HandError, match="one name"):
        convert_pictures(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_errors(tmp_path) -> None:
    with pytest.raises(HandError, match=r"no labels\.jsonl"):
        convert_pictures(tmp_path, tmp_path / "out")
    source = write_set(tmp_path / "in", [{"mediapipe": [hand(20, 40)]}])
    next((source / "images").iterdir()).write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"s_000\.jpg is damaged"):
        convert_pictures(source, tmp_path / "out")
