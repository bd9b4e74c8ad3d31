"""``predict`` with ``engine=local`` or ``ray``: many files on many processes, resumable.

For each picture `<name>.jpg`, `<name>.glb` and, written last, `<name>.hands.json`; for each video
a folder `<name>/` with what `predict` writes for one. Names are those of `annotate`: unique in the
job, and kept in `names.json`, so that they stay when other files come or go. What is complete is
not done again; `job.json` says of what source and keys it is.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HandError, ImageError
from ..whole_files import write_text
from .folder import spare_sources
from .pictures import run_pictures

if TYPE_CHECKING:
    from ..annotate.frames import Item
    from ..annotate.gather import Task
    from ..pipeline import HandPipeline
    from .predict_options import PredictOptions

__all__ = ["predict_batch"]

_BUNDLE = 40  # pictures a task
_DONE = ".done"
_JOB = "job.json"
# Keys that do not change what is written.
_FREE = ("out", "exist_ok", "device", "show", "engine", "workers")


def predict_batch(options: PredictOptions) -> int:
    """Run on a folder (with its subfolders), a list or a file; 1 if some files failed.

    Raises:
        HandError: nothing there, keys that make no sense here, or an out= that holds the sources
            or another job.
    """
    from ..annotate.gather import tasks_of
    from ..annotate.kept_names import keep_names, named_items
    from ..spread import spread

    if options.source is None:
        raise HandError("engine= is for many files; name them with source=.")
    if options.show or not options.save_json:
        raise HandError(f"engine={options.engine} needs show=False and save_json=True.")
    out = Path(options.out)
    source = Path(options.source)
    if source.is_dir() and out.is_dir() and source.samefile(out):
        raise HandError(f"{out}: out= is the folder of the source; give another.")
    items = named_items(options.source, out)
    if options.save:
        spare_sources((_drawing(item, out) for item in items), (item.path for item in items))
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, options)
    keep_names(out, items)
    left = [item for item in items if not _mark(item, out).exists()]
    tasks = tasks_of(left, _BUNDLE)
    counts: Counter[str] = Counter()
    if len(left) < len(items):
        counts["files done before"] = len(items) - len(left)
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


def _claim(out: Path, options: PredictOptions) -> None:
    """Write down what `out` is filled with, or see that it is the same as before."""
    assert options.source is not None
    keys = {name: value for name, value in asdict(options).items() if name not in _FREE}
    keys["source"] = os.path.abspath(options.source)
    job: dict[str, Any] = json.loads(json.dumps(keys))  # tuples become lists
    path = out / _JOB
    begun = any(out.glob("*.hands.json")) or any(out.glob(f"*/{_DONE}"))
    if not path.exists() or not begun:  # a job that failed at once may be mended
        write_text(path, json.dumps(job, indent=1))
        return
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise HandError(f"{path} is damaged; give another out=.") from None
    for name in sorted(set(job) & set(before)):  # a newer version may have more keys
        if job[name] != before[name]:
            raise HandError(
                f"{out} was begun with {name}={before[name]}, now {name}={job[name]}; "
                "give another out=."
            )


def _mark(item: Item, out: Path) -> Path:
    """The file that is written when the rest is."""
    return out / item.name / _DONE if item.is_video else out / f"{item.name}.hands.json"


def _drawing(item: Item, out: Path) -> Path:
    """The picture or video with the hands drawn in."""
    if item.is_video:
        return out / item.name / f"{item.path.stem}.mp4"
    return out / f"{item.name}.jpg"


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
            _pictures(pipeline, task, options, counts)
        return counts

    return work


def _pictures(
    pipeline: HandPipeline, items: Task, options: PredictOptions, counts: Counter[str]
) -> None:
    jobs = ((item.path, item.name) for item in items)
    done = run_pictures(
        pipeline, jobs, options, Path(options.out), lambda _, error: _failed(str(error), counts)
    )
    for _, hands in done:
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
    if code:  # cut off, which it has said
        counts["files failed"] += 1
        return
    (folder / _DONE).touch()
    counts["videos"] += 1


def _failed(message: str, counts: Counter[str]) -> None:
    counts["files failed"] += 1
    print(f"wilor-yolo: {message}", file=sys.stderr, flush=True)
