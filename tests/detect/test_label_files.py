from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.detect.label_files import FIELDS, first_label_fault, label_fault, label_line

GOOD = ["1", "0.5", "0.5", "0.2", "0.2", *["0.5", "0.5", "2"] * 21]


def with_value(place: int, value: str) -> list[str]:
    return [*GOOD[:place], value, *GOOD[place + 1 :]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (GOOD[:-3], "65 values (20 keypoints); a hand has 68"),
        (GOOD[:5], "5 values; a hand has 68"),
        (with_value(6, "nan"), "NaN"),
        (with_value(6, "inf"), "NaN or infinite"),
        (with_value(6, "x"), "'x' is no number"),
        (with_value(1, "1.2"), "1.2 lies outside"),
        (with_value(8, "-0.2"), "-0.2 lies outside"),
        (with_value(8, "311"), "311 lies outside the picture; divide"),
        (with_value(3, "0"), "no size"),
        (with_value(0, "3"), "class 3; classes are 0 left, 1 right, 2 unknown"),
        (with_value(0, "0.5"), "class 0.5"),
        (with_value(7, "5"), "visibility"),
    ],
)
def test_faults(words: list[str], message: str) -> None:
    fault = label_fault(words)
    assert fault is not None and message in fault


def test_a_line_counts_from_the_border() -> None:
    points = np.tile([10.5, 20.5, 2.0], (21, 1))
    points[1] = 40, 80, 1
    points[2] = 40.1, 80, 2  # outside
    points[3] = 5, 5, 0
    line = label_line(1, np.array([-4.0, 8, 20, 88]), points, (40, 80)).split()
    assert label_fault(line) is None
    assert [float(word) for word in line[:5]] == [1, 0.25, 0.55, 0.5, 0.9]
    rows = np.array(line[5:], float).reshape(21, 3)
    assert rows[0] == pytest.approx([10.5 / 40, 20.5 / 80, 2], abs=1e-6)
    assert rows[1].tolist() == [1, 1, 1] and not rows[2:4].any()
    bare = label_line(2, np.array([0, 0, 40, 80.0]), None, (40, 80)).split()
    assert bare[:5] == ["2", "0.500000", "0.500000", "1.000000", "1.000000"]
    assert len(bare) == FIELDS and not np.array(bare[5:], float).any()


def test_good_lines() -> None:
    assert len(GOOD) == FIELDS
    for words in (GOOD, with_value(0, "2"), with_value(8, "-0.005"), with_value(7, "0")):
        assert label_fault(words) is None
    assert label_fault(with_value(0, "0"), classes=1) is None
    assert "set of one class" in str(label_fault(GOOD, classes=1))


def test_a_file_names_its_first_bad_line(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert first_label_fault(file) is None
    file.write_text(f"{' '.join(GOOD)}\n\n{' '.join(with_value(0, '7'))}\n", encoding="utf-8")
    assert first_label_fault(file) == (f"{file}:3: class 7; classes are 0 left, 1 right, 2 unknown")
    file.write_bytes(b"\xff\xfe\x00")
    assert "no text" in str(first_label_fault(file))
