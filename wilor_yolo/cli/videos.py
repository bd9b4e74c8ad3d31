"""``predict`` on a video or camera: frame by frame into one drawn video and one JSON lines file."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..hands import Hands
from ..sources import cut_short
from ..whole_files import replacing
from .folder import spare_sources
from .pictures import annotator, counted, show_picture
from .video_writer import VideoWriter

if TYPE_CHECKING:
    from ..pipeline import HandPipeline
    from ..sources import Frame, Video
    from .predict_options import PredictOptions

__all__ = ["frame_line", "predict_video"]


_Who = int | str  # number of a track, or the side of hands without one


@dataclass
class _Seen:
    """One hand, or with tracking one track, through the video."""

    frames: int = 0
    score: float = 0.0
    right: int = 0
    distances: list[float] = field(default_factory=list)


def predict_video(
    pipeline: HandPipeline, video: Video, options: PredictOptions, folder: Path | None
) -> int:
    """Run on a video; Ctrl-C ends it early and keeps what is done.

    Returns:
        0; 1 if the file is cut off, which is said on stderr.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all is written.
        HandError: the drawn video would be written over the source.
    """
    from ..pipeline import can_track

    if folder is not None and options.save and isinstance(video.source, Path):
        spare_sources([folder / f"{video.name}.mp4"], [video.source])
    track = can_track() if options.track == "auto" else options.track.lower() == "true"
    if options.track == "auto" and not track:
        print(
            'note: hands are not tracked, because lap is missing: pip install "wilor-yolo[track]"',
            file=sys.stderr,
        )
    stream = pipeline.stream(
        video.source,
        options.intrinsics(*video.size),
        track=track,
        tracker=options.tracker,
        stride=options.stride,
        max_frames=options.max_frames,
    )
    seen: dict[_Who, _Seen] = defaultdict(_Seen)
    frames, closed = 0, False
    interrupted: KeyboardInterrupt | None = None
    last: Frame | None = None
    with ExitStack() as stack:
        show = stack.enter_context(_progress(_expected(video, options)))
        outputs = _Outputs(video, options, folder, stack)
        try:
            for frame, hands in stream:
                frames, last = frames + 1, frame
                _count(seen, hands)
                show(len(hands))
                if not outputs.take(frame, hands):
                    closed = True
                    break
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
    _tell(video, seen, frames, track, folder)
    if interrupted is not None:
        raise interrupted
    if last is not None and not closed and frames != options.max_frames:
        torn = cut_short(video, last, options.stride)
        if torn:
            print(f"wilor-yolo: {torn}", file=sys.stderr)
            return 1
    return 0


def frame_line(frame: Frame, hands: Hands) -> str:
    """One line of hands.jsonl, without the triangles, which are the same in every frame."""
    described = hands.to_dict()
    described.pop("faces")
    return json.dumps({"frame": frame.index, "time": round(frame.time, 4), "hands": described})


class _Outputs:
    """The files of a run: each gets its own name when it is complete, at the end of `stack`.

    After an exception they are dropped, and files of an earlier run stay as they were.
    """

    def __init__(
        self, video: Video, options: PredictOptions, folder: Path | None, stack: ExitStack
    ) -> None:
        self._video, self._options, self._folder, self._stack = video, options, folder, stack
        self._annotate = annotator(options.draw)
        self._writer: VideoWriter | None = None
        self._lines: IO[str] | None = None

    def take(self, frame: Frame, hands: Hands) -> bool:
        """Draw and write one frame; False when the user closed the window."""
        options, folder = self._options, self._folder
        drawn = None
        if options.show or (options.save and folder):
            drawn = self._annotate(frame.image, hands)
        if folder is not None:
            if options.save and drawn is not None:
                if self._writer is None:
                    fps = self._video.fps / options.stride
                    path = folder / f"{self._video.name}.mp4"
                    self._writer = self._stack.enter_context(VideoWriter(path, fps))
                # A camera's frames come as fast as the networks run, whatever its frame rate is.
                camera = isinstance(self._video.source, int)
                self._writer.write(drawn, frame.time if camera else None)
            if options.save_json:
                if self._lines is None:
                    part = self._stack.enter_context(replacing(folder / "hands.jsonl"))
                    self._lines = self._stack.enter_context(part.open("w", encoding="utf-8"))
                self._lines.write(frame_line(frame, hands) + "\n")
            if options.save_mesh and len(hands):
                from ..visualize.exports import save_glb

                save_glb(hands, folder / f"{self._video.name}_{frame.index:06d}.glb")
        return not options.show or drawn is None or show_picture(drawn, 1)


def _expected(video: Video, options: PredictOptions) -> int | None:
    if video.frame_count is None:
        return options.max_frames
    frames = -(-video.frame_count // options.stride)
    return frames if options.max_frames is None else min(frames, options.max_frames)


@contextmanager
def _progress(total: int | None) -> Iterator[Any]:
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[hands]} hands"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("frames", total=total, hands=0)
        yield lambda hands: progress.update(task, advance=1, hands=hands)


def _count(seen: dict[_Who, _Seen], hands: Hands) -> None:
    for i, side in enumerate(hands.side):
        entry = seen[side if hands.track_id is None else int(hands.track_id[i])]
        entry.frames += 1
        entry.score += float(hands.confidence[i])
        entry.right += int(hands.is_right[i])
        entry.distances.append(float(hands.distance[i]))


def _tell(
    video: Video, seen: dict[_Who, _Seen], frames: int, track: bool, folder: Path | None
) -> None:
    console = Console(markup=False)  # names of files may hold brackets
    if seen:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("track", "side") if track else ("side",):
            table.add_column(name)
        for name in ("seen in frames", "mean score", "median distance (m)"):
            table.add_column(name, justify="right")
        for who, entry in sorted(seen.items(), key=lambda item: str(item[0]).rjust(9)):
            side = "right" if 2 * entry.right > entry.frames else "left"
            # A tracker leaves hands without a number that it is not sure of yet.
            name = str(who) if isinstance(who, int) else "-"
            table.add_row(
                *((name, side) if track else (side,)),
                str(entry.frames),
                f"{entry.score / entry.frames:.2f}",
                f"{np.median(entry.distances):.2f}",
            )
        console.print(table)
        console.print(f"{counted(frames, 'frame')} of {video.name}.", highlight=False)
    else:
        told = counted(frames, "frame")
        console.print(f"No hand found in {told} of {video.name}.", highlight=False)
    if folder is not None and next(folder.iterdir(), None) is not None:
        console.print(f"Written to {folder}", highlight=False, soft_wrap=True)
