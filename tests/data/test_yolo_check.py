from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.data.label_sheet import label_sheet
from wilor_yolo.data.yolo_check import SetReport, check_yolo_set
from wilor_yolo.data.yolo_labels import HandLabel, label_path, label_text, read_labels
from wilor_yolo.data.yolo_set import data_yaml_text, picture_files
from wilor_yolo.detect.sides import UNKNOWN_SIDE
from wilor_yolo.skeleton import LEFT, RIGHT, SIDE_COLOURS

SIZE = (200, 100)
POINTS = np.column_stack((np.linspace(42, 78, 21), np.linspace(32, 68, 21), np.full(21, 2.0)))
HAND = HandLabel(np.array([40.0, 30, 80, 70]), LEFT, POINTS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sound pictures: a left hand, none, and a right hand of unknown keypoints."""
    contents = ([HAND], [], [HandLabel(HAND.box, RIGHT)])
    for number, labels in enumerate(contents):
        add(tmp_path, f"{number}", label_text(labels, SIZE), number)
    (tmp_path / "data.yaml").write_text(data_yaml_text(tmp_path, "images/train", "images/val"))
    add(tmp_path, "v", label_text([HAND], SIZE), 99, "val")
    return tmp_path


def add(root: Path, name: str, text: str, seed: int, part: str = "train") -> Path:
    for kind in ("images", "labels"):
        (root / kind / part).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    cv2.imwrite(str(root / "images" / part / f"{name}.png"), pixels)
    (root / "labels" / part / f"{name}.txt").write_text(text)
    return root / "images" / part / f"{name}.png"


def check(root: Path) -> SetReport:
    return check_yolo_set(root / "data.yaml")


def test_a_sound_set(root: Path) -> None:
    report = check(root)
    assert report.faults == [] and report.bad == [] and len(report.pictures) == 4
    assert " ".join(report.lines[0].split()) == (
        "train 3 pictures 1 left 1 right 0 of unknown side, 1 with keypoints, "
        "1 without hands, 0 without label file"
    )


def test_lists_of_two_parts_may_share_their_folders(root: Path) -> None:
    add(root, "3", label_text([HAND], SIZE), 3)
    for part, names in (("train", "012"), ("val", "3")):
        lines = [str(root / "images/train" / f"{name}.png") for name in names]
        (root / f"{part}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(data_yaml_text(root, "train.txt", "val.txt"))
    assert check(root).faults == []
    add(root, "4", label_text([HAND], SIZE), 4).unlink()
    assert check(root).kinds == {"labels without a picture": 1}


def test_label_files_with_a_mark_and_those_that_are_no_text(root: Path) -> None:
    file = root / "labels/train/0.txt"
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert check(root).faults == []
    file.write_bytes(b"\xff\xfe\x00")
    report = check(root)
    assert report.kinds == {"bad lines": 1} and "no text" in report.faults[0]


def test_a_set_of_one_class(root: Path) -> None:
    text = (root / "data.yaml").read_text().replace("  0: left\n  1: right\n", "  0: hand\n", 1)
    (root / "data.yaml").write_text("sides: unknown\n" + text.replace("nc: 2", "nc: 1"))
    report = check(root)
    assert "1 of unknown side" in report.lines[0] and "0 left" in report.lines[0]
    assert report.kinds == {"bad lines": 1} and "class 1" in report.faults[0]


def test_each_fault_is_counted_and_named(root: Path) -> None:
    other = HandLabel(HAND.box + 0.5, RIGHT)
    unknown = HandLabel(HAND.box + 0.5, UNKNOWN_SIDE)
    away = HandLabel(HAND.box + np.tile([100.0, 0], 2), LEFT, POINTS)
    out = label_text([HAND], SIZE).split()
    out[5:7] = "1.2", "0.5"
    nan = [*out[:4], "nan", *out[5:]]
    wrong = {
        "wrong sides": label_text([HAND, other], SIZE),
        "hands twice": label_text([HAND, unknown], SIZE),
        "keypoints off their box": label_text([away], SIZE),
        "bad lines": " ".join(out) + "\n" + " ".join(nan) + "\n",
    }
    files = {kind: add(root, kind, text, 10 + i) for i, (kind, text) in enumerate(wrong.items())}
    twin = add(root, "twin", "", 99)  # the pixels of the picture in val
    torn = add(root, "torn", "", 50)
    torn.write_bytes(torn.read_bytes()[:2000])
    (root / "labels" / "train" / "orphan.txt").write_text("")
    report = check(root)
    assert report.kinds == {
        "wrong sides": 1,
        "hands twice": 1,
        "keypoints off their box": 1,
        "bad lines": 2,
        "torn pictures": 1,
        "pictures twice": 1,
        "labels without a picture": 1,
    }
    text = "\n".join(report.faults)
    for kind, file in files.items():
        assert str(label_path(file)) in text and file in report.bad, kind
    assert "hands 1 and 2: one hand is labelled left and right" in text
    assert "bad lines.txt:1: 1.2 lies outside the picture" in text
    assert "bad lines.txt:2: a value is NaN" in text
    assert f"the same picture as {twin}" in text and "orphan.txt: there is no such picture" in text
    assert str(torn) in text
    assert "21 of 21 known keypoints lie far outside the box" in text


@pytest.mark.parametrize("start", ["", "path: {name}\n", "path: {root}\n", "path: images/..\n"])
def test_where_a_set_lies(root: Path, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path beside the YAML; a path is from here or else from the YAML."""
    text = (root / "data.yaml").read_text().split("\n", 1)[1]
    (root / "data.yaml").write_text(start.format(name=root.name, root=root) + text)
    monkeypatch.chdir(root.parent)
    files = picture_files(Path(root.name) / "data.yaml", ["train"])["train"]
    assert [file.name for file in files] == ["0.png", "1.png", "2.png"]


def test_lists_of_pictures(root: Path) -> None:
    (root / "list.txt").write_text("./images/train/0.png\n\nimages/val/v.png\n")
    (root / "data.yaml").write_text(data_yaml_text(root, "list.txt", "images/val"))
    assert [p.name for p in picture_files(root / "data.yaml")["train"]] == ["0.png", "v.png"]


def test_missing_parts(root: Path) -> None:
    (root / "data.yaml").write_text(data_yaml_text(root, "images/gone", "images/val"))
    report = check(root)
    assert report.kinds == {"missing": 1} and "gone is no folder" in report.faults[0]


def test_lines_are_read_back(tmp_path: Path) -> None:
    hidden = POINTS.copy()
    hidden[3, 2], hidden[4, 2], hidden[5] = 1, 0, (-3, 10, 2)
    labels = [HandLabel(np.array([-20.0, 30, 80, 70]), LEFT, hidden), HAND]
    path = tmp_path / "a.txt"
    path.write_text(label_text(labels, SIZE))
    cut, whole = read_labels(path, SIZE)
    np.testing.assert_allclose(cut.box, [0, 30, 80, 70], atol=1e-3)
    assert cut.keypoints is not None and cut.keypoints[:6, 2].tolist() == [2, 2, 2, 1, 0, 0]
    assert whole.keypoints is not None
    np.testing.assert_allclose(whole.keypoints, POINTS, atol=1e-3)
    # Lines of other sets: a box alone, and keypoints without visibility.
    flat = " ".join(["0.5 0.5"] * 20 + ["0 0"])
    path.write_text(f"0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2 {flat}\n")
    bare, plain = read_labels(path, SIZE, {0: UNKNOWN_SIDE})
    assert bare.side == UNKNOWN_SIDE and bare.keypoints is None
    assert plain.keypoints is not None and plain.keypoints[:, 2].tolist() == [2] * 20 + [0]
    assert not HandLabel(np.array([-30.0, 0, 1, 50]), LEFT).shows(SIZE)


def test_where_labels_are() -> None:
    assert label_path(Path("/images/a/images/b/c.jpg")) == Path("/images/a/labels/b/c.txt")


def test_sheet(root: Path) -> None:
    files = [root / "images" / "train" / f"{i}.png" for i in range(3)]
    files[1].write_bytes(b"torn")
    sheet = label_sheet(files, 2, 100, {LEFT: LEFT, RIGHT: RIGHT})
    assert sheet.shape == (200, 200, 3)
    # Pictures are half as large; a left and a right box in their colours, a black gap, no picture.
    for x, y, side in ((20, 20, LEFT), (20, 120, RIGHT)):
        assert sheet[y, x].tolist() == list(SIDE_COLOURS[side][::-1])
    assert not sheet[:100, 100:].any() and not sheet[51:100].any()
    assert sheet[25, 30].tolist() != sheet[125, 30].tolist()  # bones on the first only
