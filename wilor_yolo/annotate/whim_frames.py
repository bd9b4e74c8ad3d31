"""The released WHIM with pictures: frames of the videos you downloaded, labels that fit them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import HandError
from ..sources import VIDEO_SUFFIXES
from ..whole_files import write_bytes, write_text
from .outputs import encode_jpeg
from .whim import WHIM_DTYPE, WhimHand, extract_frames, read_video_ids, write_frame

__all__ = ["WhimFrames", "extract_whim"]


@dataclass
class WhimFrames:
    """Counts of a run, the ids of videos nobody downloaded, and (id, reason) of broken ones."""

    counts: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{number} {what}" for what, number in sorted(self.counts.items())]
        parts += [f"{len(self.missing)} videos missing"] if self.missing else []
        parts += [f"{len(self.broken)} videos broken"] if self.broken else []
        return ", ".join(parts) or "nothing to do"


def extract_whim(
    root: str | Path,
    split: str,
    videos: str | Path,
    out: str | Path,
    report: Callable[[str], None] = print,
) -> WhimFrames:
    """Write `<out>/<split>/anno/<video>/<frame>.jpg` and `.npy` for the videos that are there.

    Pictures have the size of the download; boxes, K and 2D joints are scaled to it. A video's
    folder gets its name when it is complete, so that a stopped run can go on. The ids of missing
    videos are listed in `<out>/<split>_missing.txt`, to be given to a downloader.

    Args:
        root: the released archive, unpacked: `<split>/anno/` and `<split>_video_ids.json`.
        split: "train" or "test".
        videos: folder with `<id>.mp4` or, as downloaders name them, `... [<id>].mp4`.
        out: folder to write; not `root`.
        report: called with a line a video.

    Raises:
        HandError: no id list or no labels there.
    """
    root, out = Path(root), Path(out)
    if root.resolve() == out.resolve():
        raise HandError(f"out={out} is the released set itself; give another folder.")
    ids = read_video_ids(_id_list(root, split))
    labels = root / split / "anno"
    if not labels.is_dir():
        raise HandError(f"{labels} is missing; unpack the labels of the {split} split there.")
    files = _downloads(Path(videos))
    result = WhimFrames()
    for name, about in ids.items():
        folder = out / split / "anno" / name
        if folder.exists():
            result.counts["videos done before"] += 1
            continue
        video = files.get(name)
        if video is None:
            result.missing.append(name)
            continue
        height, width = about["res"]
        try:
            frames = _extract(video, labels / name, folder, about["fps"], (width, height))
        except HandError as error:  # one video's trouble; the others go on
            result.broken.append((name, str(error)))
            report(f"{name}: {error}")
            continue
        result.counts["videos"] += 1
        result.counts["frames"] += frames
        expected = sum(p.stem.isdigit() for p in (labels / name).glob("*.npy"))
        short = f" of {expected}, the download is shorter" if frames < expected else ""
        result.counts["frames beyond the end"] += expected - frames
        report(f"{name}: {frames} frames{short}")
    result.counts = +result.counts
    write_text(out / f"{split}_missing.txt", "".join(f"{name}\n" for name in result.missing))
    return result


def _extract(video: Path, labels: Path, folder: Path, fps: float, size: tuple[int, int]) -> int:
    """Write one video's folder; the number of frames."""
    for torn in folder.parent.glob(f"{folder.name}.*.part"):
        shutil.rmtree(torn, ignore_errors=True)  # of a run that was killed
    work = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    work.mkdir(parents=True)
    count = 0
    try:
        for number, image, hands in extract_frames(video, labels, fps, size):
            write_bytes(work / f"{number:06d}.jpg", encode_jpeg(image))
            write_frame(work / f"{number:06d}.npy", _array(hands))
            count += 1
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return count


def _array(hands: list[WhimHand]) -> np.ndarray:
    """The hands as `WHIM_DTYPE`; what a hand lacks is NaN."""
    entries = np.zeros(len(hands), WHIM_DTYPE)
    for entry, hand in zip(entries, hands, strict=True):
        entry["bbox"], entry["side"] = hand.bbox, hand.is_right
        entry["confidence"], entry["residual"] = hand.confidence, hand.residual
        for name in ("joints_3d", "vertices", "K", "trans"):
            value = getattr(hand, name)
            entry[name] = np.nan if value is None else value
        entry["joints_2d"] = np.nan if hand.keypoints_2d is None else hand.keypoints_2d
    return entries


def _id_list(root: Path, split: str) -> Path:
    places = (root / f"{split}_video_ids.json", root / split / f"{split}_video_ids.json")
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise HandError(f"{places[0]} is missing; it comes with the released set.")
    return found


def _downloads(folder: Path) -> dict[str, Path]:
    """Video files by id."""
    if not folder.is_dir():
        raise HandError(f"{folder} does not exist; give the folder of downloaded videos.")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            name = path.stem
            if name.endswith("]") and "[" in name:
                name = name[name.rindex("[") + 1 : -1]
            found[name] = path
    return found
