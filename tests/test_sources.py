from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.errors import HandError, ImageError
from wilor_yolo.sources import Frame, Pictures, Video, cut_short, find_source, read_frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.jpg, a.PNG, notes.md, .hidden.jpg and sub/c.png."""
    root = tmp_path / "shots"
    (root / "sub").mkdir(parents=True)
    picture = np.zeros((8, 8, 3), np.uint8)
    for name in ("b.jpg", "a.PNG", ".hidden.jpg", "sub/c.png"):
        cv2.imwrite(str(root / name), picture)
    (root / "notes.md").write_text("hello", encoding="utf-8")
    return root


def _names(source: object) -> list[str]:
    found = find_source(source)  # type: ignore[arg-type]
    assert isinstance(found, Pictures)
    return [path.name for path in found.paths]


def test_one_picture(folder: Path) -> None:
    assert _names(folder / "b.jpg") == ["b.jpg"]
    assert _names(f" {folder / 'b.jpg'} ") == ["b.jpg"]
    # What the user names is tried, whatever its suffix.
    assert _names(folder / "notes.md") == ["notes.md"]


def test_folder_is_sorted_and_not_deep(folder: Path) -> None:
    assert _names(folder) == ["a.PNG", "b.jpg"]


def test_glob(folder: Path) -> None:
    assert _names(folder / "*.jpg") == ["b.jpg"]
    assert _names(folder / "**" / "*") == ["a.PNG", "b.jpg", "c.png"]
    with pytest.raises(ImageError, match=r"no picture matches .*\*\.gif"):
        find_source(folder / "*.gif")


def test_a_file_whose_name_looks_like_a_glob(folder: Path) -> None:
    (folder / "b.jpg").rename(folder / "b[1].jpg")
    assert _names(folder / "b[1].jpg") == ["b[1].jpg"]


def test_list_is_relative_to_itself(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = folder / "list.txt"
    listing.write_text(
        f"# some\n\nb.jpg\n sub/c.png \n{folder / 'a.PNG'}\nshots/b.jpg\n", encoding="utf-8-sig"
    )
    monkeypatch.chdir(tmp_path)
    found = find_source(listing)
    assert isinstance(found, Pictures)
    assert [path.resolve() for path in found.paths] == [
        folder / "b.jpg",
        folder / "sub" / "c.png",
        folder / "a.PNG",
        folder / "b.jpg",
    ]
    listing.write_text("b.jpg\nclip.mp4\n", encoding="utf-8")
    found = find_source(listing)
    assert isinstance(found, Pictures)
    assert [path.name for path in found.paths] == ["b.jpg"] and found.videos == 1
    listing.write_text("clip.mp4\n", encoding="utf-8")
    with pytest.raises(ImageError, match=r"list\.txt: no pictures, but videos \(1\)"):
        find_source(listing)
    listing.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ImageError, match=r"list\.txt lists no pictures"):
        find_source(listing)
    listing.write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(ImageError, match=r"list\.txt is no list"):
        find_source(listing)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist"):
        find_source(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="web address"):
        find_source("https://example.com/a.jpg")
    with pytest.raises(ImageError, match="of live streams only cameras of this machine are read"):
        find_source("rtsp://example.com/stream")
    with pytest.raises(ImageError, match="holds no pictures; give a folder"):
        find_source(tmp_path)


def test_videos_beside_pictures_are_counted(folder: Path) -> None:
    for name in ("clip.mp4", "other.MOV", ".hidden.mp4"):
        (folder / name).touch()
    for source in (folder, folder / "*"):
        found = find_source(source)
        assert isinstance(found, Pictures) and (len(found.paths), found.videos) == (2, 2)
    found = find_source(folder / "*.jpg")
    assert isinstance(found, Pictures) and found.videos == 0


def test_videos_only(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    for source in (tmp_path, tmp_path / "*"):
        with pytest.raises(ImageError, match=r"no pictures, but videos \(1\); give one by name"):
            find_source(source)


def test_video(write_video: Any) -> None:
    frames = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(7)]
    video = find_source(write_video(frames, fps=12.5))
    assert isinstance(video, Video)
    assert (video.size, video.frame_count, video.name) == ((64, 48), 7, "clip")
    assert video.fps == pytest.approx(12.5)
    read = list(read_frames(video))
    assert [frame.index for frame in read] == list(range(7))
    assert [frame.time for frame in read] == pytest.approx([i / 12.5 for i in range(7)])
    assert [round(frame.image.mean() / 20) for frame in read] == list(range(7))


def test_a_colon_in_a_relative_name_is_no_protocol(
    write_video: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_video([np.zeros((48, 64, 3), np.uint8)] * 3)
    clip.rename(clip.with_name("talk: part 1.mp4"))
    monkeypatch.chdir(clip.parent)
    video = find_source("talk: part 1.mp4")
    assert isinstance(video, Video) and len(list(read_frames(video))) == 3


@pytest.mark.parametrize(
    ("stride", "max_frames", "expected"),
    [(3, None, [0, 3, 6]), (1, 2, [0, 1]), (3, 2, [0, 3]), (10, None, [0]), (1, 0, [])],
)
def test_stride_and_limit(
    write_video: Any, stride: int, max_frames: int | None, expected: list[int]
) -> None:
    video = find_source(write_video([np.full((48, 64, 3), 20 * i, np.uint8) for i in range(7)]))
    assert isinstance(video, Video)
    read = list(read_frames(video, stride=stride, max_frames=max_frames))
    assert [frame.index for frame in read] == expected
    assert [round(frame.image.mean() / 20) for frame in read] == expected


@pytest.mark.parametrize("stride", [0, -1])
def test_a_stride_goes_forward(write_video: Any, stride: int) -> None:
    video = find_source(write_video([np.zeros((48, 64, 3), np.uint8)] * 3))
    assert isinstance(video, Video)
    with pytest.raises(HandError, match=f"stride is {stride}; give 1"):
        list(read_frames(video, stride=stride))


@pytest.mark.parametrize("stride", [1, 3])
def test_times_are_those_of_the_file(write_stamped_video: Any, stride: int) -> None:
    """Ten frames at 30 a second, then ten at 5."""
    stamps = [100 * i for i in range(10)] + [1000 + 600 * i for i in range(10)]
    frames = [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(20)]
    path = write_stamped_video(frames, stamps, rate=30, clock=3000)
    video = find_source(path)
    assert isinstance(video, Video)
    times = [frame.time for frame in read_frames(video, stride=stride)]
    assert times == pytest.approx([stamp / 3000 for stamp in stamps][::stride], abs=1e-3)


class _Capture:
    """A stand-in for OpenCV's: `times` are what it says after each frame, milliseconds."""

    def __init__(self, times: list[float]) -> None:
        self._times, self._at = times, -1

    def grab(self) -> bool:
        self._at += 1
        return self._at < len(self._times)

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, np.zeros((4, 4, 3), np.uint8)) if self.grab() else (False, None)

    def get(self, _: int) -> float:
        return self._times[self._at]

    def release(self) -> None:
        pass


def test_times_of_a_file_without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(Path("clip.raw"), 10, (4, 4), None)
    for said in ([0.0] * 4, [float("nan")] * 4, [0, 100, -5, 300]):
        monkeypatch.setattr("wilor_yolo.sources._capture", lambda _, said=said: _Capture(said))
        assert [f.time for f in read_frames(video)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_times_of_a_camera_are_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([50.0, 50.0, 50.4, 51.0])
    monkeypatch.setattr("wilor_yolo.sources.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("wilor_yolo.sources._capture", lambda _: _Capture([0.0] * 3))
    camera = Video(0, 30, (4, 4), None)
    assert [f.time for f in read_frames(camera)] == pytest.approx([0, 0.4, 1.0])


def test_a_torn_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for i in range(60):
        writer.write(np.full((48, 64, 3), 4 * i, np.uint8))
    writer.release()
    video = find_source(path)
    assert isinstance(video, Video)
    for stride in (1, 7):
        assert cut_short(video, list(read_frames(video, stride=stride))[-1], stride) == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = find_source(path)
    assert isinstance(video, Video) and video.frame_count == 60
    for stride in (1, 7):
        torn = cut_short(video, list(read_frames(video, stride=stride))[-1], stride)
        assert "clip.avi is cut off: it ends at " in torn and "header says 2.0 s." in torn


@pytest.mark.parametrize(
    ("count", "index", "time"),
    [
        (None, 10, 0.4),
        (22, 19, 0.7),  # an estimate
        (3000, 2949, 98.3),  # the sound is longer
        (300, 150, 9.9),  # an estimate from a wrong frame rate
        (60, 59, 1.0),  # the last frame stands still for a second
    ],
)
def test_an_estimate_is_no_tear(count: int | None, index: int, time: float) -> None:
    video = Video(Path("clip.mkv"), 30, (64, 48), count)
    assert cut_short(video, Frame(index, time, np.zeros((48, 64, 3), np.uint8))) == ""


def test_bad_videos(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(ImageError, match=r"clip\.mp4 is damaged or no video"):
        find_source(path)
    with pytest.raises(ImageError, match=r"gone\.mp4 does not exist"):
        next(read_frames(Video(tmp_path / "gone.mp4", 30, (1, 1), None)))


@pytest.mark.skipif(os.path.exists("/dev/video63"), reason="this machine has that camera")
def test_camera_number(capfd: pytest.CaptureFixture[str]) -> None:
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
    try:
        with pytest.raises(ImageError, match="camera 63 cannot be opened"):
            find_source("63")
        assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_WARNING
    finally:
        cv2.utils.logging.setLogLevel(before)
    assert capfd.readouterr().err == ""  # OpenCV would say it in ten lines


def test_a_camera_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wilor_yolo.sources._capture", lambda number: _Capture([0.0] * 2))
    by_id = tmp_path / "usb-camera-index0"  # as in /dev/v4l/by-id
    by_id.symlink_to("/dev/video63")
    exists = Path.exists
    devices = {Path("/dev/video63"), by_id}
    monkeypatch.setattr(Path, "exists", lambda path, **keys: path in devices or exists(path))
    for path in sorted(devices):
        video = find_source(path)
        assert isinstance(video, Video) and (video.source, video.name) == (63, "camera63")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no such device")
def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(ImageError, match="/dev/null is neither a file nor a camera; give a camera"):
        find_source("/dev/null")


def test_a_file_named_like_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "0.png").rename(tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    assert _names("0") == ["0"]
