"""``predict`` on pictures: read, run in batches, draw, write, and tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..errors import HandError, ImageError
from ..hands import Hands
from ..images import read_image
from ..whole_files import write_bytes
from .folder import spare_sources, unused_stems

if TYPE_CHECKING:
    from ..pipeline import HandPipeline
    from ..sources import Pictures
    from .predict_options import PredictOptions

__all__ = [
    "annotator",
    "check_display",
    "counted",
    "hand_table",
    "predict_pictures",
    "run_pictures",
    "show_picture",
    "write_picture",
]

BATCH = 8  # pictures whose hands share a forward pass ...
BATCH_PIXELS = 60_000_000  # ... unless together they are larger than this
TABLE_ROWS = 40
JPEG_QUALITY = 92
_NO_DISPLAY = "show=True needs a display; leave it out and open the files."


@dataclass(frozen=True)
class _Picture:
    path: Path
    stem: str
    image: np.ndarray


@dataclass
class _Tally:
    """What came of the pictures."""

    rows: list[tuple[str, Hands, int]]  # picture, its hands, which of them
    without: list[str]
    failed: list[str]
    read: int = 0
    hands: int = 0


def predict_pictures(
    pipeline: HandPipeline, pictures: Pictures, options: PredictOptions, folder: Path | None
) -> int:
    """Run on picture files.

    Returns:
        0, or 1 if some pictures of several failed.

    Raises:
        ImageError: the only picture cannot be read.
        HandError: a drawing would be written over one of the pictures.
    """
    alone = len(pictures.paths) == 1
    tally = _Tally([], [], [])
    errors = Console(stderr=True, markup=False)
    stems = unused_stems(list(pictures.paths))
    if folder is not None and options.save:
        spare_sources((folder / f"{stem}.jpg" for stem in stems), pictures.paths)
    jobs = list(zip(pictures.paths, stems, strict=True))
    paths = track(
        jobs, "hands", console=errors, transient=True, disable=alone or not errors.is_terminal
    )

    def fail(path: Path, error: HandError) -> None:
        if alone:
            raise error
        tally.failed.append(path.name)
        errors.print(f"wilor-yolo: {error}", style="red", markup=False, soft_wrap=True)

    for path, hands in run_pictures(pipeline, paths, options, folder, fail, alone):
        tally.read += 1
        tally.hands += len(hands)
        tally.rows += [(path.name, hands, i) for i in range(len(hands)) if _room(tally)]
        if not len(hands):
            tally.without.append(path.name)
    _tell(tally, len(jobs), folder, options.source is None)
    return 1 if tally.failed else 0


def run_pictures(
    pipeline: HandPipeline,
    jobs: Iterable[tuple[Path, str]],
    options: PredictOptions,
    folder: Path | None,
    fail: Callable[[Path, HandError], None],
    alone: bool = False,
) -> Iterator[tuple[Path, Hands]]:
    """Read pictures, run on them in batches of bounded size, and write what `options` ask for.

    Args:
        jobs: pictures, and the stems of the files to be written for them.
        folder: where to; None writes nothing.
        fail: called with a picture that cannot be read, or whose drawing cannot be written.
        alone: there is one picture: its JSON file is `hands.json`, not `STEM.hands.json`.

    Yields:
        A picture and its hands, when all is written; the JSON file last. None after the one whose
        window the user closed.
    """
    annotate = annotator(options.draw)
    for batch in _batches(jobs, fail):
        K = [
            options.intrinsics(picture.image.shape[1], picture.image.shape[0], picture.path)
            for picture in batch
        ]
        for picture, found in zip(batch, pipeline([p.image for p in batch], K), strict=True):
            hands = replace(found, source=str(picture.path))
            try:
                more = _write(picture, hands, options, folder, annotate, alone)
            except ImageError as error:
                fail(picture.path, error)
                continue
            yield picture.path, hands
            if not more:
                return


def annotator(draw: Sequence[str]) -> Callable[[np.ndarray, Hands], np.ndarray]:
    """A function that returns a copy of a picture with the hands drawn in."""
    from ..visualize.annotators import HandAnnotator

    drawing = HandAnnotator(mesh="mesh" in draw, skeleton="skeleton" in draw, boxes="boxes" in draw)
    return lambda image, hands: drawing.annotate(image.copy(), hands)


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture in the format its name ends with, whole or not at all.

    Raises:
        ImageError: no format of pictures, or the picture is larger than one of its kind can be.
    """
    suffix = path.suffix.lower()
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix in {".jpg", ".jpeg"} else []
    try:
        good, data = cv2.imencode(suffix, image, quality)
    except cv2.error:
        raise ImageError(f"{path} is no name of a picture; let it end in .jpg or .png.") from None
    if not good:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ImageError(f"{path} cannot be written as {suffix[1:].upper()} ({size}).")
    write_bytes(path, data.tobytes())


def check_display() -> None:
    """See that a window can be opened.

    Another process tries it: where there is no display, or none that OpenCV's Qt can use, Qt ends
    the process, past all `except`. DISPLAY does not tell, it may be stale.

    Raises:
        HandError: there is no display.
    """
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('wilor-yolo')"]
    if subprocess.run(trial, capture_output=True).returncode:
        raise HandError(_NO_DISPLAY)


def show_picture(image: np.ndarray, wait: int) -> bool:
    """Show a picture in a window; False when the user pressed q or Esc.

    Args:
        image: BGR.
        wait: milliseconds to wait for a key; 0 waits for ever.

    Raises:
        HandError: there is no display.
    """
    try:
        cv2.imshow("wilor-yolo", image)
        return cv2.waitKey(wait) & 0xFF not in (ord("q"), 27)
    except cv2.error:
        raise HandError(_NO_DISPLAY) from None


def hand_table(rows: Sequence[tuple[str, Hands, int]]) -> Table:
    """The table of hands: picture, number, side, score, box and distance."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("image", overflow="fold")
    for name in ("hand", "side"):
        table.add_column(name)
    for name in ("score", "box (px)", "distance (m)"):
        table.add_column(name, justify="right")
    for name, hands, i in rows:
        box = " ".join(str(round(float(value))) for value in hands.bbox_xyxy[i])
        distance = f"{hands.distance[i]:.2f}" if hands.reconstructed else "-"
        table.add_row(name, str(i), hands.side[i], f"{hands.confidence[i]:.2f}", box, distance)
    return table


def counted(number: int, noun: str) -> str:
    """The number and the noun, in the plural unless there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _batches(
    jobs: Iterable[tuple[Path, str]],
    fail: Callable[[Path, HandError], None],
) -> Iterator[list[_Picture]]:
    batch: list[_Picture] = []
    pixels = 0
    for path, stem in jobs:
        try:
            image = read_image(path)
        except ImageError as error:
            fail(path, error)
            continue
        size = image.shape[0] * image.shape[1]
        if batch and (len(batch) == BATCH or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(_Picture(path, stem, image))
        pixels += size
    if batch:
        yield batch


def _write(
    picture: _Picture,
    hands: Hands,
    options: PredictOptions,
    folder: Path | None,
    annotate: Callable[[np.ndarray, Hands], np.ndarray],
    alone: bool,
) -> bool:
    """Write, and show; False when the user closed the window."""
    drawn = annotate(picture.image, hands) if options.save or options.show else None
    if folder is not None:
        if options.save and drawn is not None:
            write_picture(folder / f"{picture.stem}.jpg", drawn)
        if options.save_mesh is not False:
            from ..visualize.exports import save_glb

            mesh = folder / f"{picture.stem}.glb"
            if len(hands):
                save_glb(hands, mesh)
            else:  # one of an earlier run (exist_ok) would show hands that are not found now
                mesh.unlink(missing_ok=True)
        if options.save_json:
            hands.to_json(folder / ("hands.json" if alone else f"{picture.stem}.hands.json"))
    return not options.show or drawn is None or show_picture(drawn, 0)


def _room(tally: _Tally) -> bool:
    return len(tally.rows) < TABLE_ROWS


def _tell(tally: _Tally, count: int, folder: Path | None, bundled: bool) -> None:
    console = Console(markup=False)  # names of files may hold brackets
    if tally.rows:
        console.print(hand_table(tally.rows))
    if tally.hands > len(tally.rows):
        console.print(f"... and {counted(tally.hands - len(tally.rows), 'more hand')}")
    if tally.without:
        console.print(f"No hand found in {_names(tally.without)}.", highlight=False)
    if count > 1:
        read = counted(tally.read, "picture")
        console.print(f"{read}, {counted(tally.hands, 'hand')}.", highlight=False)
    if folder is not None and _holds_files(folder):
        console.print(f"Written to {folder}", highlight=False, soft_wrap=True)
    if bundled:
        console.print("This was the bundled picture; yours: wilor-yolo predict source=photo.jpg")
    if tally.failed:
        Console(stderr=True, markup=False).print(
            f"{len(tally.failed)} of {count} pictures failed: {', '.join(tally.failed)}",
            style="red",
            markup=False,
            soft_wrap=True,
        )


def _holds_files(folder: Path) -> bool:
    return next(folder.iterdir(), None) is not None


def _names(names: Sequence[str], most: int = 5) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {counted(len(names) - most, 'more picture')}"
