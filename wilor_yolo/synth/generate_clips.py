"""Write short clips with their truth: seeded per clip, on several processes, resumable.

out/<seed>_<number>.mp4     out/<seed>_<number>.json     out/clips.json (the settings)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HandError, one_line
from ..kept_settings import keep_settings
from ..spread import spread
from ..whole_files import write_text
from .clip_scene import ClipFrame, ClipHand, render_clip
from .hand_mesh import FineHand
from .one_thread import one_thread

__all__ = ["ClipSettings", "clip_name", "generate_clips", "read_clip_truth"]

ENGINE = 1  # raise when the same seed makes other clips than before
_SETTINGS_FILE = "clips.json"


@dataclass(frozen=True)
class ClipSettings:
    """All that decides what the clips look like, beside their number.

    Attributes:
        seed: of the whole series; clip i depends on (seed, i) only.
        seconds, fps: length, and frames a second.
        width, height: px.
        rays: occlusion rays per vertex.
        hand: folder of the free hand's two files; None: the shipped ones.
    """

    seed: int = 0
    seconds: float = 2.0
    fps: float = 15.0
    width: int = 320
    height: int = 240
    rays: int = 16
    hand: str | None = None

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.seconds * self.fps)


def clip_name(seed: int, number: int) -> str:
    """Name of a clip's files without their endings."""
    return f"{seed:03d}_{number:05d}"


def generate_clips(
    out: str | Path,
    count: int,
    settings: ClipSettings | None = None,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Make `count` clips; those that are there are kept, so a stopped run can go on.

    The truth of a clip is written after its video: a clip with a JSON is complete.

    Returns:
        The videos.

    Raises:
        HandError: bad arguments, the folder holds clips of other settings, a package of the
            `synth` extra is missing, or a worker died.
    """
    settings = settings or ClipSettings()
    if count < 1 or workers < 1 or settings.frames < 2 or min(settings.width, settings.height) < 32:
        raise HandError("a clip needs 2 frames and 32 px a side, count and workers at least 1.")
    if settings.width % 2 or settings.height % 2:
        raise HandError("width and height of a video must be even.")
    out = Path(out)
    _engine(settings.hand)  # a missing package or folder is said here, once
    keep_settings(out / _SETTINGS_FILE, {"engine": ENGINE, **asdict(settings)})
    names = [clip_name(settings.seed, number) for number in range(count)]
    jobs = [
        (str(out), settings, number)
        for number, name in enumerate(names)
        if not (out / f"{name}.json").exists()
    ]
    if len(jobs) < count:
        report(f"{out}: {count - len(jobs)} of {count} clips are there already")
    started = time.perf_counter()
    for done, name in enumerate(spread(_worker, jobs, min(workers, len(jobs))), start=1):
        each = (time.perf_counter() - started) / done
        report(f"{name}: {each:.0f} s a clip, {each * (len(jobs) - done) / 60:.0f} min left")
    return [out / f"{name}.mp4" for name in names]


def read_clip_truth(path: str | Path) -> dict[str, Any]:
    """The JSON of a clip: `fps`, `width`, `height`, `K`, and `frames`, each with `time`,
    `camera_rotation` and `hands` (fields of `ClipHand` as lists).

    Raises:
        HandError: no such file, or another one.
    """
    try:
        truth = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HandError(f"{path} is no clip's truth: {one_line(error)}") from None
    if not isinstance(truth, dict) or not {"fps", "K", "frames"} <= set(truth):
        raise HandError(f"{path} is no clip's truth: it lacks fps, K or frames.")
    return truth


def _worker() -> Callable[[tuple[str, ClipSettings, int]], str]:
    return _make_clip


@lru_cache(maxsize=1)
@one_thread()
def _engine(hand: str | None) -> FineHand:
    """The hand, once per process."""
    from .extra import require

    for package in ("embreex", "numba", "scipy"):
        require(package)
    return FineHand(hand)


@one_thread()
def _make_clip(job: tuple[str, ClipSettings, int]) -> str:
    folder, settings, number = job
    name = clip_name(settings.seed, number)
    out = Path(folder)
    for torn in (*out.glob(f".{name}.*.part.mp4"), *out.glob(f"{name}.json.*.part")):
        torn.unlink(missing_ok=True)  # of a run that was killed
    size = settings.width, settings.height
    # The writer goes by the ending, so it cannot be .part; hidden, nobody who looks for videos
    # takes what a killed process leaves for one.
    video = out / f".{name}.{os.getpid()}.part.mp4"
    frames, K = [], np.eye(3)
    try:
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), settings.fps, size)
        if not writer.isOpened():
            raise HandError(f"{video} cannot be written; is the disk full?")
        for frame in render_clip(
            settings.seed,
            number,
            _engine(settings.hand),
            settings.frames,
            settings.fps,
            size,
            settings.rays,
        ):
            writer.write(frame.image)
            frames.append(_frame_truth(frame))
            K = frame.K
        writer.release()
        os.replace(video, out / f"{name}.mp4")
    finally:
        video.unlink(missing_ok=True)
    truth = {
        "engine": ENGINE,
        "video": f"{name}.mp4",
        "fps": settings.fps,
        "width": settings.width,
        "height": settings.height,
        "K": _numbers(K),
        "frames": frames,
    }
    _write_json(out / f"{name}.json", truth)
    return name


def _frame_truth(frame: ClipFrame) -> dict[str, Any]:
    return {
        "time": round(frame.time, 6),
        "camera_rotation": _numbers(frame.camera_rotation),
        "hands": [_hand_truth(hand) for hand in frame.hands],
    }


def _hand_truth(hand: ClipHand) -> dict[str, Any]:
    fields = asdict(hand)
    return {k: _numbers(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()}


def _numbers(array: np.ndarray) -> list:
    return np.round(np.asarray(array, np.float64), 6).tolist()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_text(path, json.dumps(value, separators=(",", ":")))
