"""``predict`` with ``engine=local`` or ``ray``: many files on many processes, resumable.

For each picture `<name>.jpg`, `<name>.glb` and, written last, `<name>.hands.json`; for each video
a folder `<name>/` with what `predict` writes for one. Names are those of `annotate`: unique in the
job. What is complete is not done again.
"""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HandError, ImageError
from .pictures import BATCH, annotator, write_picture

if TYPE_CHECKING:
    from ..annotate.frames import Item
    from ..annotate.gather import Task
    from ..pipeline import HandPipeline
    from .predict_options import PredictOptions

__all__ = ["predict_batch"]

_BUNDLE = 40  # pictures a task
_DONE = ".done"


def predict_batch(options: PredictOptions) -> int:
    """Run on a folder (with its subfolders), a list or a file; 1 if some files failed.

    Raises:
        HandError: nothing there, or keys that make no sense here.
    """
    from ..annotate.gather import find_tasks
    from ..spread import spread

    if options.source is None:
        raise HandError("engine= is for many files; name them with source=.")
    if options.show or not options.save_json:
        raise HandError(f"engine={options.engine} needs show=False and save_json=True.")
    everything = find_tasks(options.source, _BUNDLE)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    tasks = [rest for task in everything if (rest := _not_done(task, out))]
    files = sum(len(task) for task in everything)
    left = sum(len(task) for task in tasks)
    counts: Counter[str] = Counter()
    if left < files:
        counts["files done before"] = files - left
    workers = options.workers or os.cpu_count() or 1
    for number, done in enumerate(
        spread(partial(_worker, options), tasks, workers, options.engine), start=1
    ):
        counts.update(done)
        print(f"{number}/{len(tasks)} tasks; {_told(counts)}", file=sys.stderr, flush=True)
    print(f"{out}: {_told(counts)}")
    return 1 if counts["files failed"] else 0


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or "no files"


def _not_done(task: Task, out: Path) -> Task:
    return tuple(item for item in task if not _mark(item, out).exists())


def _mark(item: Item, out: Path) -> Path:
    """The file that is written when the rest is."""
    return out / item.name / _DONE if item.is_video else out / f"{item.name}.hands.json"


def _worker(options: PredictOptions) -> Callable[[Task], Counter[str]]:
    """What a process does with a task; it loads the networks once."""
    from .chain import make_pipeline

    os.environ.setdefault("YOLO_VERBOSE", "false")
    pipeline = make_pipeline(options)

    def work(task: Task) -> Counter[str]:
        counts: Counter[str] = Counter()
        if task[0].is_video:
            _video(pipeline, task[0], options, counts)
        else:
            for i in range(0, len(task), BATCH):
                _pictures(pipeline, task[i : i + BATCH], options, counts)
        return counts

    return work


def _pictures(
    pipeline: HandPipeline, items: Task, options: PredictOptions, counts: Counter[str]
) -> None:
    from ..images import read_image

    read = []
    for item in items:
        try:
            read.append((item, read_image(item.path)))
        except ImageError as error:
            _failed(str(error), counts)
    if not read:
        return
    cameras = [options.intrinsics(i.shape[1], i.shape[0], item.path) for item, i in read]
    draw = annotator(options.draw)
    out = Path(options.out)
    for (item, image), found in zip(read, pipeline([i for _, i in read], cameras), strict=True):
        hands = replace(found, source=str(item.path))
        try:
            if options.save:
                write_picture(out / f"{item.name}.jpg", draw(image, hands))
            if options.save_mesh is not False and len(hands):
                from ..visualize.exports import save_glb

                save_glb(hands, out / f"{item.name}.glb")
            hands.to_json(_mark(item, out))
        except ImageError as error:
            _failed(str(error), counts)
            continue
        counts["pictures"] += 1
        counts["hands"] += len(hands)


def _video(
    pipeline: HandPipeline, item: Item, options: PredictOptions, counts: Counter[str]
) -> None:
    from ..sources import Video, find_source
    from .videos import predict_video

    folder = Path(options.out) / item.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        video = find_source(item.path)
        assert isinstance(video, Video)  # by its suffix
        with redirect_stdout(io.StringIO()):  # tables of many processes would mix
            code = predict_video(pipeline, video, options, folder)
    except ImageError as error:
        _failed(str(error), counts)
        return
    if code:
        raise KeyboardInterrupt
    (folder / _DONE).touch()
    counts["videos"] += 1


def _failed(message: str, counts: Counter[str]) -> None:
    counts["files failed"] += 1
    print(f"wilor-yolo: {message}", file=sys.stderr, flush=True)
