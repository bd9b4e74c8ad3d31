"""The job: sources in, a hand data set out. A chunk of a video (or of the pictures) is its unit.

A chunk counts as done when its manifest `parts/<chunk>.jsonl` is there, which is written last. A
killed job is started again with the same command, does the chunks that are missing, and loses the
work of one chunk at most. Videos do not know each other, so that several processes or machines can
do one each (:mod:`wilor_yolo.spread`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HandError, ImageError
from ..geometry import default_intrinsics
from ..images import exif_focal
from ..kept_settings import keep_settings
from ..metrics.detection import UNKNOWN
from ..skeleton import NUM_JOINTS, RIGHT
from ..whole_files import write_text
from .ensemble import Ensemble
from .fitted import FittedHands
from .fitting import HandFitter
from .frames import Item, NearCopies, SampledFrame, VideoReader, read_picture
from .fusion import FusedHand
from .gather import JobSummary, Task, collect, find_work
from .kept_names import bundle_name, write_read
from .outputs import AnnotatedFrame, DatasetFolder, cut_view, encode_jpeg

__all__ = ["DETECTOR_FILES", "AnnotationJob", "JobSettings", "JobSummary"]

ENGINE = 3  # raise when the same job makes other labels than before
# Among `models`: where the detectors come from, for two files may have one name. Folders of earlier
# versions do not tell; the first run that goes on in one writes it down.
DETECTOR_FILES = "detector_files"

_UNKNOWN = np.full((NUM_JOINTS, 3), np.nan)


@dataclass(frozen=True)
class JobSettings:
    """What decides the result, beside the detectors.

    Attributes:
        rate: frames a second of a video to look at; 0 for all.
        chunk: seconds of video in a chunk; pictures: pictures in a chunk.
        near_copy_bits: frames whose perceptual hashes differ in at most so many of 63 bits are one;
            -1 keeps them all.
        keep: fused confidence (mean over all detectors) from which a hand is believed.
        sure: confidence of a single detector from which it is believed whatever the others say.
        unsure: fused confidence from which a hand that is not believed makes its picture unfit for
            detector training, because it may be an unlabelled hand.
        least_size: px; smaller hands are not believed.
        test_share: share of the videos (a picture is its own video) that go to the test part.
        keep_empty: write pictures in which nobody saw a hand, as background.
        fit: fit hands; without, only boxes, sides and landmarks are written.
        source: name of the data set in the shards.
    """

    rate: float = 2.0
    chunk: float = 60.0
    pictures: int = 100
    near_copy_bits: int = 3
    keep: float = 0.45
    sure: float = 0.6
    unsure: float = 0.2
    least_size: float = 16.0
    test_share: float = 0.05
    keep_empty: bool = False
    fit: bool = True
    source: str = "annotate"


class AnnotationJob:
    """Annotates videos and pictures into a folder.

    Args:
        out: the data set's folder; a job that was stopped goes on in it.
        ensemble: the detectors.
        fitter: None with ``settings.fit=False``.
        settings: see :class:`JobSettings`.
        report: called with lines of progress.
        models: what else decides the result, by name: files of models and thresholds of detectors.

    Raises:
        HandError: the folder holds a job with other settings, detectors or models.
    """

    def __init__(
        self,
        out: str | Path,
        ensemble: Ensemble,
        fitter: HandFitter | None,
        settings: JobSettings | None = None,
        report: Callable[[str], None] = print,
        models: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings or JobSettings()
        if self.settings.fit and fitter is None:
            raise HandError("fit=True needs a fitter.")
        self.out, self.ensemble, self.fitter, self.report = Path(out), ensemble, fitter, report
        self.folder = DatasetFolder(self.out, self.settings.source)
        self.summary = JobSummary()
        self._version = _version()
        (self.out / "parts").mkdir(parents=True, exist_ok=True)
        asked = {"engine": ENGINE, "detectors": ensemble.names, **asdict(self.settings)}
        keep_settings(self.out / "settings.json", asked | dict(models or {}), DETECTOR_FILES)

    def run(self, source: str | Path) -> JobSummary:
        """Annotate everything of a source (see :func:`.frames.find_items`)."""
        tasks, before = find_work(source, self.settings.pictures, self.out)
        return collect(self.out, tasks, map(self.do, tasks), self.report, before)

    def do(self, task: Task) -> Counter[str]:
        """Annotate a video or a bundle of pictures; the counts of that alone."""
        self.summary = JobSummary()
        if task[0].is_video:
            self._video(task[0])
        else:
            self._pictures(list(task))
        return self.summary.counts

    def _video(self, item: Item) -> None:
        marker = self.out / "parts" / f"{item.name}.done"
        if marker.exists():
            self.summary.counts["videos done before"] += 1
            return
        prefix = f"{item.name}-"
        done = {
            int(path.stem[len(prefix) :])
            for path in (self.out / "parts").glob(f"{prefix}*.jsonl")
            if path.stem[len(prefix) :].isdigit()
        }
        failed = False
        try:
            with VideoReader(item, self.settings.rate, self.settings.chunk) as reader:
                for chunk, frames in _by_chunk(reader.frames(done)):
                    failed |= not self._write(f"{prefix}{chunk:05d}", self._look(frames, set()))
                if reader.cut_short:
                    self._trouble(str(item.path), reader.end, reader.cut_short, "videos cut short")
        except ImageError as error:
            self._trouble(str(item.path), 0.0, str(error), "videos unreadable")
            return
        if not failed:
            write_text(marker, "")
            self.summary.counts["videos"] += 1

    def _pictures(self, items: list[Item]) -> None:
        chunk = bundle_name(items)
        if (self.out / "parts" / f"{chunk}.jsonl").exists():  # a cluster may do a task twice
            self.summary.counts["pictures done before"] += len(items)
            return
        known: list[str] = []
        unseen: set[str] = set()

        def read() -> Iterator[SampledFrame]:
            for item in items:
                try:
                    frame = read_picture(item)
                except ImageError as error:
                    self._trouble(str(item.path), 0.0, str(error), "pictures unreadable")
                    continue
                known.append(item.name)
                yield frame

        annotated = self._look(read(), unseen)
        # The next run asks again for those nobody looked at.
        known = [name for name in known if name not in unseen]
        if known:
            self._write(chunk, annotated, known)

    def _look(self, frames: Iterable[SampledFrame], unseen: set[str]) -> list[AnnotatedFrame]:
        """Annotate the frames of a chunk; those with something to write. `unseen` takes the names
        of those that no detector looked at."""
        copies = NearCopies(self.settings.near_copy_bits)
        annotated = []
        for frame in frames:
            self.summary.counts["frames seen"] += 1
            if not copies.is_new(frame.image):
                self.summary.counts["near-copies"] += 1
                continue
            hands = self._found(frame)
            if hands is None:
                self.summary.counts["frames nobody looked at"] += 1
                unseen.add(frame.name.video)
                continue
            result = self._annotate(frame, hands)
            if result is not None:
                annotated.append(result)
        return annotated

    def _write(self, chunk: str, annotated: list[AnnotatedFrame], read: Sequence[str] = ()) -> bool:
        """Fit and write one chunk, of pictures with the names `read`; False if that fails."""
        try:
            if read:
                write_read(self.out, chunk, read)
            self.folder.write_chunk(chunk, annotated, self._fit(annotated), self._version)
        except (OSError, HandError) as error:  # a full disk: the next run does the chunk again
            where = annotated[0].name.path if annotated else chunk
            reason = getattr(error, "strerror", None) or str(error)
            self._trouble(where, 0.0, f"chunk {chunk} not written: {reason}", "chunks not written")
            return False
        self.summary.counts["chunks"] += 1
        self.summary.counts["frames written"] += len(annotated)
        left_out = sum(frame.unsure > 0 for frame in annotated)
        self.summary.counts["of those not in the labels, a hand unsure"] += left_out
        self.summary.counts["hands"] += sum(len(frame.hands) for frame in annotated)
        self.summary.counts = +self.summary.counts  # no zeros
        return True

    def _found(self, frame: SampledFrame) -> list[FusedHand] | None:
        path, when = frame.name.path, frame.time
        return self.ensemble(
            frame.image,
            frame.name,
            lambda what: self._trouble(path, when, what, "detector failures"),
        )

    def _annotate(self, frame: SampledFrame, hands: list[FusedHand]) -> AnnotatedFrame | None:
        """The believed hands of a frame; None when there is nothing to write."""
        image, settings, path = frame.image, self.settings, frame.name.path
        believed = [hand for hand in hands if self._believed(hand)]
        unsure = sum(
            hand.confidence >= settings.unsure for hand in hands if not self._believed(hand)
        )
        if not believed:
            self.summary.counts["frames without hands" if not unsure else "frames unsure"] += 1
            if unsure or not settings.keep_empty:
                return None
        height, width = image.shape[:2]
        is_picture = frame.name.index == 0 and frame.time == 0
        focal = exif_focal(path, width, height) if is_picture else None
        video = frame.name.video
        stem = f"{video}/{frame.name.index:06d}"
        return AnnotatedFrame(
            name=frame.name,
            time=frame.time,
            scene=frame.scene,
            fps=frame.fps,
            length=frame.length,
            size=(width, height),
            K=default_intrinsics(width, height, focal),
            stem=stem,
            part=self._part(video),
            hands=believed,
            views=[cut_view(image, hand.box) for hand in believed],
            unsure=unsure,
            image=encode_jpeg(image),
        )

    def _believed(self, hand: FusedHand) -> bool:
        size = float((hand.box[2:] - hand.box[:2]).max())
        voices = hand.confidence >= self.settings.keep
        voices = voices or max(hand.votes.values()) >= self.settings.sure
        return voices and size >= self.settings.least_size

    def _fit(self, frames: list[AnnotatedFrame]) -> list[list[tuple[FittedHands, int] | None]]:
        """For each hand of each frame its fit; None without landmarks, side or fitting.

        The side must be known: seen in one view, a left hand's landmarks are those of a right hand
        with its depths turned over.
        """
        fits: list[list[tuple[FittedHands, int] | None]] = [[None] * len(f.hands) for f in frames]
        if not self.settings.fit or self.fitter is None:
            return fits
        wanted = [
            (i, j)
            for i, frame in enumerate(frames)
            for j, hand in enumerate(frame.hands)
            if hand.keypoints is not None and hand.side != UNKNOWN
        ]
        if not wanted:
            return fits
        hands = [frames[i].hands[j] for i, j in wanted]
        fitted = self.fitter(
            np.stack([np.asarray(hand.keypoints) for hand in hands]),
            np.array([hand.side == RIGHT for hand in hands]),
            np.stack([frames[i].K for i, _ in wanted]),
            np.stack([_UNKNOWN if h.joints_3d is None else h.joints_3d for h in hands]),
        )
        for number, (i, j) in enumerate(wanted):
            fits[i][j] = (fitted, number)
            status = fitted.status[number]
            self.summary.counts[f"fits {status}"] += 1
        return fits

    def _part(self, video: str) -> str:
        """Train or test, from the video's name alone: adding videos moves none of the others."""
        draw = int(hashlib.sha1(video.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        return "test" if draw < self.settings.test_share else "train"

    def _trouble(self, file: str, when: float, what: str, kind: str) -> None:
        """Log what went wrong; the rest goes on."""
        self.summary.counts[kind] += 1
        row = json.dumps({"file": file, "time": round(when, 3), "kind": kind, "what": what})
        try:
            with (self.out / "trouble.jsonl").open("a", encoding="utf-8") as log:
                log.write(row + "\n")
        except OSError:  # the disk is full: the log must not end the job
            self.report(f"{file} at {when:.1f} s: {what}")


def _by_chunk(frames: Iterator[SampledFrame]) -> Iterator[tuple[int, Iterator[SampledFrame]]]:
    from itertools import groupby

    yield from groupby(frames, key=lambda frame: frame.chunk)


def _version() -> str:
    from .. import __version__

    return f"wilor_yolo {__version__}, engine {ENGINE}"
