"""What ``source=`` can be: a picture, a folder, a glob, a list, a video, a camera."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .errors import HandError, ImageError

__all__ = [
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Frame",
    "Pictures",
    "Video",
    "cut_short",
    "ffmpeg_path",
    "find_source",
    "frame_time",
    "is_glob",
    "match_glob",
    "open_video",
    "read_frames",
    "read_list",
    "require_stride",
]

# Suffixes a folder is searched for. HEIC cannot be read, and is named so that it is reported
# instead of passed over.
# fmt: off
PICTURE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif",
    ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".mpo", ".heic", ".heif",
))
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".asf",
    ".flv", ".3gp",
))
# fmt: on
DEFAULT_FPS = 30.0  # what cameras that do not tell are taken for
_FEW = 5  # frames that may be missing of any video: some containers only estimate their number


@dataclass(frozen=True)
class Pictures:
    """Picture files, in the order to be read.

    Attributes:
        paths: at least one path; a path a user named may turn out to be no picture.
        name: what to call them in messages.
        videos: how many videos were found among them and are left out.
    """

    paths: tuple[Path, ...]
    name: str
    videos: int = 0


@dataclass(frozen=True)
class Video:
    """A video file or a camera.

    Attributes:
        source: path of the file, or number of the camera.
        fps: frames a second.
        size: (width, height) px.
        frame_count: frames in the file as its header says; None for a camera or when unknown.
    """

    source: Path | int
    fps: float
    size: tuple[int, int]
    frame_count: int | None

    @property
    def name(self) -> str:
        """What to call it in messages and file names."""
        return self.source.stem if isinstance(self.source, Path) else f"camera{self.source}"


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: number of the frame in the video, from 0.
        time: seconds from the start, by the clock of the file; for cameras by that of the machine,
            from the first frame.
        image: (H, W, 3) uint8, BGR.
    """

    index: int
    time: float
    image: np.ndarray


def find_source(source: str | Path | int) -> Pictures | Video:
    """Tell what a source is, and check that it is there.

    Args:
        source: path of a picture or video, a folder (its pictures, sorted, without subfolders), a
            glob (``"shots/*.jpg"``, ``"**"`` for subfolders), a ``.txt`` with a path a line, or
            the number of a camera; on Linux also its path (``"/dev/video0"``).

    Raises:
        ImageError: nothing there, or nothing of use in it.
    """
    text = str(source).strip()
    if text.isdecimal() and not Path(text).exists():
        return open_video(int(text))
    if text.startswith(("http://", "https://")):
        raise ImageError(f"{text} is a web address; download it and give the file.")
    if "://" in text:
        raise ImageError(
            f"{text} is no file; of live streams only cameras of this machine are read (source=0)."
        )
    path = Path(text)
    if path.is_dir():
        pictures = _pictures_among(sorted(path.iterdir()), str(path))
        if pictures is None:
            raise ImageError(
                f"{path} holds no pictures; give a folder with JPEG or PNG files in it."
            )
        return pictures
    if path.is_file():
        if path.suffix.lower() == ".txt":
            paths = read_list(path)
            named = tuple(p for p in paths if p.suffix.lower() not in VIDEO_SUFFIXES)
            if not named:
                raise _only_videos(str(path), len(paths))
            return Pictures(named, str(path), len(paths) - len(named))
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return open_video(path)
        return Pictures((path,), str(path))
    if path.exists():  # a device, a pipe
        return open_video(_camera_number(path))
    if is_glob(text):
        pictures = _pictures_among(match_glob(text), text)
        if pictures is None:
            raise ImageError(f"no picture matches {text}; quote the pattern and check the folder.")
        return pictures
    raise ImageError(f"{text or 'source='} does not exist; check the path.")


def read_frames(video: Video, *, stride: int = 1, max_frames: int | None = None) -> Iterator[Frame]:
    """Decode a video frame by frame.

    Args:
        video: from :func:`find_source`.
        stride: take every `stride`-th frame; at least 1.
        max_frames: stop after that many taken frames.

    Raises:
        ImageError: the video cannot be opened or not even its first frame can be decoded.
        HandError: `stride` is less than 1.
    """
    require_stride(stride)
    capture = _capture(video.source)
    index = taken = 0
    last, started = -1.0, 0.0
    try:
        while max_frames is None or taken < max_frames:
            if index % stride:
                if not capture.grab():  # skips the colour conversion, and often the decoding
                    break
                last = frame_time(capture, index, video.fps, last)
            else:
                good, image = capture.read()
                if not good or image is None:
                    break
                taken += 1
                if isinstance(video.source, int):
                    started = time.monotonic() if taken == 1 else started
                    last = time.monotonic() - started
                else:
                    last = frame_time(capture, index, video.fps, last)
                yield Frame(index, last, image)
            index += 1
    finally:
        capture.release()
    if not taken and max_frames != 0:
        raise ImageError(f"{video.source} holds no frame that can be decoded; convert it to MP4.")


def frame_time(capture: cv2.VideoCapture, index: int, fps: float, last: float) -> float:
    """Seconds from the start of the frame that was grabbed last.

    The container's time, for the frame rate may vary; by the frame's number when it says nonsense.

    Args:
        index: the frame's number, from 0.
        fps: frames a second as the container says.
        last: time of the frame before; -1 for the first.
    """
    seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    if not np.isfinite(seconds) or seconds < last or (index and seconds <= 0):
        seconds = max(index / fps, last)
    return float(seconds)


def cut_short(video: Video, last: Frame, stride: int = 1) -> str:
    """What is missing of a torn file, in one line; empty if nothing is.

    Args:
        video: that was read to its end.
        last: its last frame that could be read.
        stride: every which frame was read.
    """
    if video.frame_count is None:
        return ""
    # Some containers estimate the number from the length, some know the length from the sound; a
    # torn file lacks both frames and seconds.
    length, end = video.frame_count / video.fps, last.time + stride / video.fps
    missing = min(video.frame_count - (last.index + stride), (length - end) * video.fps)
    a_second = min(video.fps, video.frame_count / 4)
    if missing <= max(_FEW, a_second, 0.02 * video.frame_count):
        return ""
    return f"{video.source} is cut off: it ends at {end:.1f} s, its header says {length:.1f} s."


def is_glob(text: str) -> bool:
    """Whether it is a pattern, if no file has that name."""
    return any(sign in text for sign in "*?[")


def require_stride(stride: int) -> None:
    """Check that every `stride`-th frame can be taken.

    Raises:
        HandError: `stride` is less than 1.
    """
    if stride < 1:
        raise HandError(f"stride is {stride}; give 1 for every frame, 2 for every second one, ...")


def match_glob(pattern: str) -> list[Path]:
    """What matches, sorted; ``**`` stands for folders of any depth."""
    return sorted(Path(match) for match in glob.glob(pattern, recursive=True))


def _pictures_among(paths: Sequence[Path], name: str) -> Pictures | None:
    """The pictures among `paths`; None if there are neither pictures nor videos.

    Raises:
        ImageError: there are videos only.
    """
    pictures = tuple(path for path in paths if _has_suffix(path, PICTURE_SUFFIXES))
    videos = sum(_has_suffix(path, VIDEO_SUFFIXES) for path in paths)
    if videos and not pictures:
        raise _only_videos(name, videos)
    return Pictures(pictures, name, videos) if pictures else None


def _only_videos(name: str, videos: int) -> ImageError:
    return ImageError(
        f"{name}: no pictures, but videos ({videos}); give one by name, or engine=local to take "
        "all."
    )


def _has_suffix(path: Path, suffixes: frozenset[str]) -> bool:
    return path.suffix.lower() in suffixes and path.is_file() and path.name[0] != "."


def read_list(path: Path) -> tuple[Path, ...]:
    """The paths in a list, one a line; empty lines and those that begin with # are passed over.

    Like Ultralytics: relative to the list itself; and as typed when that exists instead.

    Raises:
        ImageError: it is no text, or lists nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path} is no list of pictures, one path a line: {error}") from None
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise ImageError(f"{path} lists no pictures; write one path a line.")
    return tuple(
        Path(name)
        if Path(name).exists() and not (path.parent / name).exists()
        else path.parent / name
        for name in names
    )


def _camera_number(device: Path) -> int:
    """Linux's name of a camera to its number; links (``/dev/v4l/by-id/...``) are followed."""
    number = re.fullmatch(r"/dev/video(\d+)", str(device.resolve()))
    if number is None:
        raise ImageError(
            f"{device} is neither a file nor a camera; give a camera's number, as in source=0."
        )
    return int(number[1])


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """OpenCV tells on stderr of every backend that could not open a camera; our error says it."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def ffmpeg_path(video: str | Path) -> str:
    """How to name a video to OpenCV: FFmpeg takes what stands before a colon in a relative name for
    a protocol."""
    return os.path.abspath(video)


def _capture(source: Path | int) -> cv2.VideoCapture:
    if isinstance(source, Path) and not source.is_file():
        raise ImageError(f"{source} does not exist; check the path.")
    with _silent_opencv():
        capture = cv2.VideoCapture(source if isinstance(source, int) else ffmpeg_path(source))
    if not capture.isOpened():
        capture.release()
        if isinstance(source, int):
            raise ImageError(f"camera {source} cannot be opened; check that it is plugged in.")
        raise ImageError(f"{source} is damaged or no video we can read; convert it to MP4.")
    return capture


def open_video(source: Path | int) -> Video:
    """What the header of a video file, or a camera, says of itself.

    Raises:
        ImageError: it is missing or cannot be opened.
    """
    capture = _capture(source)
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        size = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
    finally:
        capture.release()
    known = count > 0 and not isinstance(source, int)
    # NaN fails the comparison too.
    return Video(source, fps if 0 < fps < 1000 else DEFAULT_FPS, size, count if known else None)
