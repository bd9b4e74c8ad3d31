from __future__ import annotations

from glob import glob
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.cli.video_writer import VideoWriter


def _shades(path: Path) -> list[int]:
    """Of each frame, the number of its picture: picture i is grey 40 * i."""
    capture = cv2.VideoCapture(str(path))
    shades = []
    while (frame := capture.read()[1]) is not None:
        shades.append(round(frame.mean() / 40))
    return shades


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([None, None, None], [0, 1, 2]),
        ([0, 0.1, 0.2], [0, 1, 2]),
        ([0, 0.3, 0.5], [0, 0, 0, 1, 1, 2]),
        ([0, 0.02, 0.1, 0.12, 0.21], [0, 2, 4]),
    ],
)
def test_frames_are_seen_at_their_times(
    times: list[float | None], expected: list[int], tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        for i, time in enumerate(times):
            writer.write(np.full((48, 64, 3), 40 * i, np.uint8), time)
    assert _shades(tmp_path / "film.mp4") == expected


def test_a_film_that_is_not_finished_is_not_seen(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        for _ in range(100):  # the encoder holds back the first
            writer.write(np.zeros((48, 64, 3), np.uint8))
        assert any(tmp_path.iterdir()) and not glob(f"{tmp_path}/*")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
