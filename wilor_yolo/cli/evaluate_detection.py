"""``wilor-yolo evaluate detection``: a detector, or a peer, on pictures whose hands are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HandError, did_you_mean
from ..evenly import evenly
from ..weights_dir import or_shipped_dataset
from ..whole_files import write_text
from ..yaml_files import read_yaml
from .data_sets import open_pictures
from .evaluate_sets import progress
from .folder import folder_of_run
from .keys import (
    choice,
    describe_keys,
    key,
    maybe,
    number,
    read_keys,
    text,
    whole,
    words,
)
from .peers import Peer, open_peer
from .shared_keys import imgsz_key

if TYPE_CHECKING:
    from ..data.raw_hand import ReadReport
    from ..data.yolo_labels import HandLabel
    from ..evaluate.detection import Answer, SourceResult
    from ..evaluate.detection_table import Runner
    from ..evaluate.true_pictures import TruePicture
    from ..metrics.detection import PictureHands

__all__ = ["HELP", "detection", "of_sources", "true_pictures"]

_FORMATS = (
    *("coco-wholebody", "oxford-hands", "whim", "egohands", "halpe", "ultralytics-hands"),
    *("freihand", "ho3d", "h2o3d", "interhand", "dexycb"),
)
_TIMED = 30  # pictures that the speed is measured on


@dataclass(frozen=True)
class DetectionOptions:
    """The keys of ``evaluate detection``."""

    data: str = key(..., text, "folder with a labels.jsonl, data YAML, or root of a format=")
    format: str | None = key(
        None, maybe(choice(*_FORMATS)), "layout of data: " + ", ".join(_FORMATS), "by its name"
    )
    split: str | None = key(
        None, maybe(choice("train", "val", "test")), "of it", "val of a YAML, else test"
    )
    images: str | None = key(None, maybe(text), "folder of the pictures where they lie apart")
    sources: tuple[str, ...] | None = key(
        None, maybe(words), "only the pictures of these sources, as in a,b", "all"
    )
    detector: str | None = key(
        None,
        maybe(text),
        "any model Ultralytics reads, mediapipe, or a .json of detections (docs/evaluation.md)",
        "the shipped weights",
    )
    mediapipe: str | None = key(
        None, maybe(text), "mediapipe's wheel, or a folder with its files", "the cache"
    )
    imgsz: int | None = imgsz_key()
    device: str | None = key(None, maybe(text), "cpu, cuda:0, 0, mps, auto", "Ultralytics' choice")
    limit: int | None = key(None, maybe(whole(1)), "so many pictures, spread evenly")
    seconds: float = key(5.0, number(0), "to time it for; 0: not at all")
    out: str | None = key(None, maybe(text), "folder for scores.json and detections.json", "none")


HELP = f"""\
detection: boxes, sides and keypoints; AP as in Table 1 of the paper [defaults]:
{describe_keys(DetectionOptions)}
"""


def detection(args: Sequence[str]) -> int:
    """Run ``evaluate detection``."""
    options = read_keys(DetectionOptions, args, "evaluate detection")
    from ..data.raw_hand import ReadReport

    trouble = ReadReport()
    trouble.on_fault = lambda message: print(f"BAD {message}", file=sys.stderr)
    pictures = true_pictures(options.data, options.format, options.split, options.images, trouble)
    if options.sources is not None:
        pictures = of_sources(pictures, options.sources)
    if options.limit is not None:
        pictures = evenly(pictures, options.limit)
    made = nullcontext() if options.out is None else folder_of_run(options.out)
    with made as out:
        _measure(options, pictures, out)
    if trouble.left_out.total() or trouble.fault_count:
        print(f"\nNot all of the set was measured:\n{trouble}")
    return 1 if trouble.fault_count else 0


def _measure(options: DetectionOptions, pictures: Sequence[TruePicture], out: Path | None) -> None:
    from ..evaluate.detection import ask, pictures_per_second, tabulate
    from ..evaluate.detection_table import Runner, format_table, table_1

    peer = open_peer(options.detector, options.imgsz, options.device, options.mediapipe)
    with progress("pictures") as report:
        answers = ask(peer.find, pictures, report)
    fps = float("nan")
    if options.seconds and peer.work is not None:
        fps = pictures_per_second(peer.work, evenly(pictures, _TIMED), options.seconds)
    rows = tabulate(answers)
    runner = Runner(peer.name, peer.megabytes, peer.parameters, fps)
    print(runner)
    print(format_table(rows))
    if options.format is not None and (beside := table_1(options.format, runner, rows[-1])):
        print(f"\n{beside}")
    if out is not None:
        _write(out, options, peer, runner, rows, answers)


def true_pictures(
    data: str,
    format: str | None = None,
    split: str | None = None,
    images: str | None = None,
    report: ReadReport | None = None,
) -> list[TruePicture]:
    """The pictures of a set in any layout we read.

    Args:
        data, format, split, images: as the keys of ``evaluate detection``.
        report: takes the broken pictures of a `format`; without one the first of them stops.

    Raises:
        HandError: there is no such set, nothing in it, or a key that it has no use for.
    """
    path = Path(data)
    if format is not None:
        pictures = _of_format(format, data, split or "test", images, report)
    elif images is not None:
        raise HandError("images= goes with format=; other sets name their pictures themselves.")
    elif path.suffix in {".yaml", ".yml"}:
        pictures = _of_yaml(or_shipped_dataset(path), split or "val")
    elif split is not None:
        raise HandError(f"split= goes with a data YAML or format=; {data} has no parts.")
    else:
        from ..evaluate.true_pictures import pictures_of_records

        pictures = pictures_of_records(path)
    if not pictures:
        raise HandError(f"{data} has no pictures with known hands; check data= and split=.")
    return pictures


def of_sources(pictures: Sequence[TruePicture], sources: Sequence[str]) -> list[TruePicture]:
    """The pictures of some sources.

    Raises:
        HandError: a source has no pictures.
    """
    known = {picture.source for picture in pictures}
    for source in sources:
        if source not in known:
            raise HandError(f"data has no source {source!r}.{did_you_mean(source, known)}")
    return [picture for picture in pictures if picture.source in sources]


def _of_format(
    format: str, root: str, split: str, images: str | None, report: ReadReport | None
) -> list[TruePicture]:
    from ..data.raw_hand import ReadReport
    from ..evaluate.true_pictures import TruePicture

    report = ReadReport(strict=True) if report is None else report
    return [
        TruePicture(picture.file, picture.source, _true_hands(picture.labels))
        for picture in open_pictures(format, root, split, images, report, own_boxes=True)
    ]


def _of_yaml(path: Path, split: str) -> list[TruePicture]:
    from ..data.yolo_labels import label_path, read_labels
    from ..data.yolo_set import picture_files, sides_of_classes
    from ..evaluate.true_pictures import TruePicture
    from ..images import picture_size

    sides = sides_of_classes(read_yaml(path))
    pictures = []
    for file in picture_files(path, [split]).get(split, []):
        labels = read_labels(label_path(file), picture_size(file), sides)
        pictures.append(TruePicture(file, path.stem, _true_hands(labels)))
    return pictures


def _true_hands(labels: Sequence[HandLabel]) -> PictureHands:
    from ..geometry import HALF_PIXEL
    from ..metrics.detection import UNKNOWN, PictureHands
    from ..skeleton import NUM_JOINTS, SIDE_NAMES

    keypoints = np.full((len(labels), NUM_JOINTS, 2), np.nan)
    for row, label in zip(keypoints, labels, strict=True):
        if label.keypoints is not None:
            known = label.keypoints[:, 2] > 0
            # Labels count from the picture's border, the detectors' answers from its first pixel
            row[known] = label.keypoints[known, :2] - HALF_PIXEL
    return PictureHands(
        np.array([label.box for label in labels]).reshape(-1, 4),
        np.array([label.side if label.side in SIDE_NAMES else UNKNOWN for label in labels], int),
        None,
        keypoints,
    )


def _write(
    out: Path,
    options: DetectionOptions,
    peer: Peer,
    runner: Runner,
    rows: Sequence[SourceResult],
    answers: Sequence[Answer],
) -> None:
    from .weights import sha256

    files: dict[str, str] = {}
    for file in peer.files:  # exported models may be folders
        inside = sorted(f for f in file.rglob("*") if f.is_file()) if file.is_dir() else [file]
        files |= {str(f.relative_to(file.parent)): sha256(f) for f in inside if f.is_file()}
    scores: dict[str, Any] = {
        "detector": peer.name,
        "sha256": files,
        "data": options.data,
        "format": options.format,
        "split": options.split,
        "pictures": len(answers),
        "imgsz": options.imgsz,
        "pictures_per_second": None if np.isnan(runner.fps) else runner.fps,
        "megabytes": None if np.isnan(runner.megabytes) else runner.megabytes,
        "parameters": runner.parameters,
        "results": [row.numbers() for row in rows],
    }
    write_text(out / "scores.json", json.dumps(scores, indent=1))
    found = [{"file": str(p.file), "hands": _hands_json(hands)} for p, hands in answers]
    write_text(out / "detections.json", json.dumps({"detections": found}))
    print(f"Written to {out}")


def _hands_json(found: PictureHands) -> list[dict[str, Any]]:
    """The hands in the layout that a .json of detections has."""
    from ..skeleton import SIDE_NAMES

    hands = []
    for i in range(len(found)):
        assert found.scores is not None
        hand: dict[str, Any] = {
            "box": np.round(found.boxes[i], 2).tolist(),
            "confidence": round(float(found.scores[i]), 5),
            "side": SIDE_NAMES.get(int(found.sides[i]), "unknown"),
        }
        if found.keypoints is not None:
            points = found.keypoints[i]
            known = np.isfinite(points).all(-1, keepdims=True)
            points = np.concatenate((np.where(known, np.round(points, 2), 0), known), 1)
            hand["keypoints"] = points.tolist()
        hands.append(hand)
    return hands
