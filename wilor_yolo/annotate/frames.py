"""Which pictures of a job are looked at: sampling in time, scenes, near-copies."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import HandError, ImageError
from ..images import read_image
from ..sources import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Frame,
    cut_short,
    ffmpeg_path,
    frame_time,
    is_glob,
    match_glob,
    open_video,
    read_list,
)
from .candidates import FrameName

__all__ = [
    "GivenFile",
    "Item",
    "NearCopies",
    "SampledFrame",
    "VideoReader",
    "find_items",
    "histogram_change",
    "perceptual_hash",
    "read_picture",
]

SCENE_CHANGE = 0.5  # of 0 (same colours) to 1 (none in common): a cut
_HASH_SIDE = 8
_LONGEST_NAME = 60  # the members of a shard may have names of 100 characters
_BINS = (8, 4, 4)  # hue, saturation, value


@dataclass(frozen=True)
class Item:
    """A video or picture of the job.

    Attributes:
        path: the file.
        name: unique in the job, fit for a file name: the unit of the train/test split.
        is_video: or a picture.
    """

    path: Path
    name: str
    is_video: bool


class GivenFile(NamedTuple):
    """A file that has its name already: `path`, absolute, and `size`, bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class SampledFrame:
    """A picture to annotate.

    Attributes:
        name: which one it is.
        time: seconds from the start of the video.
        chunk: number of the piece of work it belongs to.
        scene: number of the scene within the chunk.
        image: (H, W, 3) uint8 BGR.
        fps: frames a second of the video; 0 for a picture.
        length: frames the video has by its header, None if it does not tell; 1 for a picture.
    """

    name: FrameName
    time: float
    chunk: int
    scene: int
    image: np.ndarray = field(repr=False)
    fps: float = 0.0
    length: int | None = 1


def find_items(
    source: str | Path,
    without: Path | None = None,
    kept: Mapping[str, GivenFile] | None = None,
) -> list[Item]:
    """The videos and pictures of a source, sorted by path.

    Args:
        source: a file, a folder (searched with its subfolders), a `.txt` list of these, or
            a glob of files.
        without: a folder inside a searched one that is passed over: what the job itself writes.
        kept: the files that have a name already; they keep it, also when they were moved, and no
            other file gets it.

    Raises:
        ImageError: nothing there.
    """
    path = Path(source)
    roots = [path]
    if not path.exists():
        roots = [p for p in match_glob(str(source)) if p.is_file()] if is_glob(str(source)) else []
        if not roots:
            raise ImageError(f"{source} does not exist; give a video, picture, folder or list.")
    elif path.is_file() and path.suffix.lower() == ".txt":
        roots = list(read_list(path))
    own = None if without is None else without.resolve()
    files: list[tuple[Path, Path]] = []  # path, and what its name is counted from
    for root in roots:
        if root.is_dir():
            inside = (p for p in sorted(root.rglob("*")) if p.is_file() and p.name[0] != ".")
            if own is not None and root.resolve() == own:
                raise HandError(f"out={without} is the folder of the source; give another out=.")
            if own is not None and root.resolve() in own.parents:
                inside = (p for p in inside if own not in p.resolve().parents)
            files += [(p, p.relative_to(root)) for p in inside]
        else:
            files.append((root, Path(root.name)))
    kept = kept or {}
    holders = {name.lower(): given for name, given in kept.items()}
    own_name = {given.path: name for name, given in kept.items()}
    items: list[Item] = []
    taken: set[str] = set()
    for file, relative in files:
        suffix = file.suffix.lower()
        if suffix not in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
            continue
        path_now = os.path.abspath(file)
        own_first = (own_name[path_now],) if path_now in own_name else ()
        name = next(
            name
            for name in chain(own_first, _names_for(relative))
            if name.lower() not in taken and _may_have(file, holders.get(name.lower()))
        )
        taken.add(name.lower())
        items.append(Item(file, name, suffix in VIDEO_SUFFIXES))
    if not items:
        raise ImageError(f"{source} holds no videos and no pictures.")
    return items


def _names_for(relative: Path) -> Iterator[str]:
    """Names for a file, nicest first, without end."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", relative.with_suffix("").as_posix())
    if len(name) <= _LONGEST_NAME:
        yield name
    digest = hashlib.sha1(relative.as_posix().encode()).hexdigest()[:8]
    apart = f"{name[:_LONGEST_NAME]}_{digest}"
    yield apart
    for number in count(2):  # files of one name from several folders of a list
        yield f"{apart}_{number}"


def _may_have(file: Path, holder: GivenFile | None) -> bool:
    """Whether a file may have a name: it is nobody's, or that of the file itself, maybe from where
    it was before."""
    if holder is None or holder.path == os.path.abspath(file):
        return True
    return (
        not os.path.exists(holder.path)
        and Path(holder.path).name == file.name
        and file.exists()
        and holder.size in (0, file.stat().st_size)  # 0: gone before its size was kept
    )


def read_picture(item: Item, chunk: int = 0) -> SampledFrame:
    """A picture of the job; every picture is a scene of its own.

    Raises:
        ImageError: it cannot be read.
    """
    return SampledFrame(
        FrameName(item.name, 0, str(item.path)), 0.0, chunk, 0, read_image(item.path)
    )


class VideoReader:
    """Frames of a video at even times, in one pass.

    Times are the container's, so that a variable frame rate is sampled evenly too.

    Attributes:
        video: what its header says.
        end: seconds, where the frames ended; 0 before.
        cut_short: after the last frame, what is missing of a torn file, one line; empty if nothing
            is.

    Args:
        item: the video.
        rate: frames a second to take; 0 takes every frame.
        chunk: seconds in a chunk.

    Raises:
        ImageError: the video cannot be opened.
    """

    def __init__(self, item: Item, rate: float, chunk: float) -> None:
        self._item, self._rate, self._chunk = item, rate, chunk
        if item.path.is_file() and item.path.stat().st_size == 0:
            raise ImageError(f"{item.path} is empty (0 bytes).")
        self.video = open_video(item.path)
        self._capture = cv2.VideoCapture(ffmpeg_path(item.path))
        self.decoded = 0
        self.end = 0.0
        self.cut_short = ""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frames(self, done: Iterable[int] = ()) -> Iterator[SampledFrame]:
        """The sampled frames in order, without those of the chunks in `done`.

        Raises:
            ImageError: not one frame could be decoded.
        """
        skip = set(done)
        due, index, last, scene = 0.0, 0, -1.0, 0
        step = 1 / self._rate if self._rate else 0.0
        fps = self.video.fps
        before: SampledFrame | None = None
        while self._capture.grab():
            time = last = frame_time(self._capture, index, fps, last)
            chunk = int(time // self._chunk)
            if time + 1e-6 >= due:
                due = (np.floor(time / step + 1e-6) + 1) * step if step else 0.0
                self.decoded += chunk in skip
                good, image = (False, None) if chunk in skip else self._capture.retrieve()
                if good and image is not None and image.size:
                    self.decoded += 1
                    if before is None or before.chunk != chunk:
                        scene = 0
                    elif histogram_change(before.image, image) > SCENE_CHANGE:
                        scene += 1
                    name = FrameName(self._item.name, index, str(self._item.path))
                    length = self.video.frame_count
                    before = SampledFrame(name, time, chunk, scene, image, fps, length)
                    yield before
            index += 1
        if not self.decoded:
            raise ImageError(f"{self._item.path} holds no frame that can be decoded.")
        self.end = last + 1 / fps
        no_picture = np.zeros((0, 0, 3), np.uint8)  # number and time tell where the file ends
        self.cut_short = cut_short(self.video, Frame(index - 1, last, no_picture))


class NearCopies:
    """Remembers perceptual hashes and tells near-copies.

    Args:
        bits: how many of 63 bits two pictures may differ in to count as one.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._seen: list[int] = []

    def is_new(self, image: np.ndarray) -> bool:
        """Whether no picture so far looked like this one; it is remembered then."""
        if self._bits < 0:
            return True
        value = perceptual_hash(image)
        if any(bin(other ^ value).count("1") <= self._bits for other in self._seen):
            return False
        self._seen.append(value)
        return True


def perceptual_hash(image: np.ndarray) -> int:
    """63 bits of a picture's coarse structure: signs of its low cosine waves against their median.

    Scaling, compression and small changes of light move few of them.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:_HASH_SIDE, :_HASH_SIDE].ravel()[1:]  # without the mean brightness
    bits = waves > np.median(waves)
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


def histogram_change(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the colours, 0 to 1, that two pictures (BGR) do not have in common."""
    one, other = (_histogram(image) for image in (first, second))
    return float(1 - np.minimum(one, other).sum())


def _histogram(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
    ranges = [0, 180, 0, 256, 0, 256]
    return cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), ranges) / small[..., 0].size
