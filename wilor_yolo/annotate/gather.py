"""The two ends of a job: what there is to do, and what became of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..detect.data_yaml import data_yaml_of
from ..whole_files import replacing, write_text
from .frames import Item
from .kept_names import bundles_of, job_items, pictures_read, remove_unfinished

__all__ = ["JobSummary", "Task", "assemble", "collect", "find_work", "tasks_of"]

Task = tuple[Item, ...]  # a video, or some pictures


@dataclass
class JobSummary:
    """Counts of a run, and the troubles by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{number} {what}" for what, number in sorted(self.counts.items())]
        return f"{', '.join(parts) or 'nothing to do'}; {self.seconds:.0f} s"


def find_work(source: str | Path, pictures: int, out: Path) -> tuple[list[Task], int]:
    """The tasks of a job, and how many pictures need none because the job has read them before.

    Args:
        source: as for :func:`.frames.find_items`.
        pictures: at most so many a task.
        out: the job's folder; keeps the names of the files (see :mod:`.kept_names`), and is rid of
            bundles that a stopped run did not finish.

    Raises:
        ImageError: nothing there.
        HandError: the kept names are damaged.
    """
    items = job_items(source, out, pictures)
    remove_unfinished(out)
    before = pictures_read(out)
    left = [item for item in items if item.is_video or item.name not in before]
    return tasks_of(left, pictures), len(items) - len(left)


def tasks_of(items: Sequence[Item], pictures: int) -> list[Task]:
    """The videos among the items, one a task, then the pictures, at most `pictures` a task."""
    return [*((item,) for item in items if item.is_video), *bundles_of(items, pictures)]


def collect(
    out: Path,
    tasks: Sequence[Task],
    done: Iterable[Counter[str]],
    report: Callable[[str], None] = print,
    done_before: int = 0,
) -> JobSummary:
    """Wait for all tasks, add up their counts, and write what tells of the whole.

    Args:
        out: the data set's folder.
        done: the counts of each task as it gets ready, in any order.
        report: called with a line a task.
        done_before: pictures that no task holds because they are done.
    """
    started = time.perf_counter()
    summary = JobSummary()
    if done_before:
        summary.counts["pictures done before"] = done_before
    try:
        for number, counts in enumerate(done, start=1):
            summary.counts.update(counts)
            summary.seconds = time.perf_counter() - started
            report(f"{number}/{len(tasks)} videos and bundles of pictures; {summary}")
    finally:
        summary.seconds = time.perf_counter() - started
        if (out / "parts").is_dir():  # else no worker has come to life
            assemble(out)
    return summary


def assemble(out: Path) -> None:
    """manifest.jsonl, the data YAML and the lists of videos, from the chunks that are done."""
    parts = sorted((out / "parts").glob("*.jsonl"))
    videos: dict[str, dict[str, Any]] = {"train": {}, "test": {}}
    path = out / "manifest.jsonl"
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as manifest:
        for part in parts:
            text = part.read_text(encoding="utf-8")
            manifest.write(text)
            for line in text.splitlines():
                row = json.loads(line)
                entries = videos[row["part"]]
                # Rows of earlier versions lack both. With fps 0, too, frame numbers are the file's.
                if "fps" in row or row["video"] not in entries:
                    entries[row["video"]] = {
                        "res": [row["height"], row["width"]],
                        "length": row.get("length"),
                        "fps": row.get("fps", 0.0),
                    }
    for name, entries in videos.items():
        if entries:
            text = json.dumps(entries, indent=1)
            write_text(out / "WHIM" / f"{name}_video_ids.json", text)
    if text := data_yaml_of(out):
        write_text(out / "data.yaml", text)
