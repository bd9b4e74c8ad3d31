from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.annotate.frames import (
    Item,
    NearCopies,
    VideoReader,
    find_items,
    histogram_change,
    perceptual_hash,
)
from wilor_yolo.errors import HandError, ImageError
from wilor_yolo.sources import Pictures, find_source


def write_video(path: Path, frames: list[np.ndarray], fps: float = 10) -> Path:
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def scene(colour: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    image = np.full((96, 128, 3), colour, np.uint8)
    rng = np.random.default_rng(seed)
    for _ in range(6):
        x, y = rng.integers(0, 100, 2)
        cv2.circle(image, (int(x), int(y)), 14, [int(c) for c in rng.integers(0, 255, 3)], -1)
    return image


def reader(path: Path, rate: float, chunk: float = 60) -> VideoReader:
    return VideoReader(Item(path, path.stem, True), rate, chunk)


def test_items(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a b.jpg", "sub/a.mp4", "sub/notes.md", ".hidden.jpg", f"{'x' * 90}.png"):
        (tmp_path / name).write_bytes(b"x")
    items = find_items(tmp_path)
    assert [item.name for item in items if len(item.name) < 50] == ["a_b", "sub_a"]
    assert max(len(item.name) for item in items) < 72
    assert [item.is_video for item in items] == [False, True, False]
    listed = tmp_path / "list.txt"
    listed.write_text("# mine\na b.jpg\nsub\n\n")
    assert [item.name for item in find_items(listed)] == ["a_b", "a"]
    with pytest.raises(ImageError, match="no videos"):
        (tmp_path / "bare").mkdir()
        find_items(tmp_path / "bare")
    with pytest.raises(ImageError, match="does not exist"):
        find_items(tmp_path / "absent")


def test_what_the_job_writes_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "runs/b.jpg", "runs/predict/a.jpg", "runs/predict/clip/clip.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    for source in (".", tmp_path):
        names = [item.name for item in find_items(source, Path("runs/predict"))]
        assert names == ["a", "runs_b"]
    with pytest.raises(HandError, match="out=runs/predict is the folder of the source"):
        find_items("runs/predict", Path("runs/predict"))


def test_names_that_collide_get_apart(tmp_path: Path) -> None:
    for name in ("a b.jpg", "a_b.png"):
        (tmp_path / name).write_bytes(b"x")
    names = {item.name for item in find_items(tmp_path)}
    assert len(names) == 2
    for folder in "pqrs":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shot.jpg").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("p/shot.jpg\nq/shot.jpg\nr/shot.jpg\ns/shot.jpg\n")
    names = {item.name for item in find_items(tmp_path / "list.txt")}
    assert len(names) == 4


def test_lists_and_globs_are_those_of_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg", "sub/a.jpg", "sub/deep/c.mp4", "sub/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    Path("sub/list.txt").write_text("a.jpg\nb.jpg\n")
    found = find_source("sub/list.txt")
    assert isinstance(found, Pictures)
    assert [item.path for item in find_items("sub/list.txt")] == list(found.paths)
    assert found.paths == (Path("sub/a.jpg"), Path("b.jpg"))
    assert [item.path.name for item in find_items("sub/**")] == ["a.jpg", "c.mp4"]
    with pytest.raises(ImageError, match="does not exist"):
        find_items("sub/*.png")
    Path("sub/list.txt").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(ImageError, match=r"list\.txt is no list"):
        find_items("sub/list.txt")


def test_sampling_by_time_chunks_and_scenes(tmp_path: Path) -> None:
    frames = [scene((40, 40, 40))] * 15 + [scene((200, 60, 10), 5)] * 15
    path = write_video(tmp_path / "clip.avi", frames, fps=10)
    with reader(path, 5, chunk=1) as video:
        taken = list(video.frames())
    assert [frame.name.index for frame in taken] == list(range(0, 30, 2))
    assert [frame.chunk for frame in taken] == [0] * 5 + [1] * 5 + [2] * 5
    assert [frame.scene for frame in taken] == [0] * 5 + [0, 0, 0, 1, 1] + [0] * 5
    assert taken[3].time == pytest.approx(0.6)
    with reader(path, 5, chunk=1) as video:
        rest = list(video.frames(done=[0, 2]))
    assert [frame.name.index for frame in rest] == [10, 12, 14, 16, 18]
    with reader(path, 0) as video:
        assert len(list(video.frames())) == 30


def test_all_chunks_done_is_no_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", [scene((1, 2, 3))] * 5)
    with reader(path, 0) as video:
        assert list(video.frames(done=[0])) == []


def test_bad_videos(tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.mp4", tmp_path / "broken.mp4"
    empty.touch()
    broken.write_bytes(b"\0" * 500)
    for path, message in (
        (empty, "0 bytes"),
        (broken, "damaged"),
        (tmp_path / "absent.mp4", "does not exist"),
    ):
        with pytest.raises(ImageError, match=message):
            reader(path, 2)
    whole = write_video(tmp_path / "whole.avi", [scene((9, 9, 9), i) for i in range(30)])
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with reader(cut, 0) as video:  # as far as it goes
        frames = list(video.frames())
    assert 5 < len(frames) < 30
    assert video.end == pytest.approx(len(frames) / 10, abs=0.15) and "3.0 s" in video.cut_short
    with reader(whole, 0) as video:
        assert len(list(video.frames())) == 30 and not video.cut_short


def test_variable_frame_rate_is_sampled_by_the_clock(write_stamped_video: Any) -> None:
    """A second at 20 frames a second, then two seconds at 5, as phones write in the dark."""
    stamps = [50 * i for i in range(20)] + [1000 + 200 * i for i in range(10)]
    frames = [scene((60, 60, 60), i) for i in range(30)]
    path = write_stamped_video(frames, stamps, rate=20, clock=1000)
    with reader(path, 2.5) as video:
        taken = [frame.time for frame in video.frames()]
    assert taken == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4, 2.8], abs=0.06)


def test_near_copies() -> None:
    one, other = scene((90, 90, 90), 1), scene((90, 90, 90), 2)
    brighter = cv2.convertScaleAbs(cv2.resize(one, (200, 150)), alpha=1.1, beta=4)
    differ = bin(perceptual_hash(one) ^ perceptual_hash(brighter)).count("1")
    assert differ <= 3 < bin(perceptual_hash(one) ^ perceptual_hash(other)).count("1")
    copies = NearCopies(3)
    assert [copies.is_new(image) for image in (one, other, brighter, one)] == [
        True,
        True,
        False,
        False,
    ]
    everything = NearCopies(-1)
    assert everything.is_new(one) and everything.is_new(one)


def test_histogram_change() -> None:
    one = scene((90, 90, 90), 1)
    assert histogram_change(one, one) == pytest.approx(0, abs=1e-5)
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert histogram_change(black, white) == pytest.approx(1)
