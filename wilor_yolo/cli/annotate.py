"""``wilor-yolo annotate``: videos and pictures in, a hand data set out."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HandError
from .annotate_shards import HELP as SHARDS_HELP
from .annotate_shards import check_model, fit_shards_of, make_fitter
from .annotate_whim import HELP as WHIM_HELP
from .annotate_whim import extract_whim_of
from .keys import choice, describe_keys, key, maybe, number, read_keys, text, whole, yes_no
from .shared_keys import hand_model_key

if TYPE_CHECKING:
    from ..annotate.candidates import HandFinder, StoredFinder
    from ..annotate.ensemble import Ensemble
    from ..annotate.gather import Task

__all__ = ["HELP", "run"]

JOB_PICTURES = 100  # in a bundle, the unit of resuming for pictures
# Keys that decide the result too; a job goes on with the same ones only.
_THRESHOLDS = ("people_conf", "full_frame", "conf", "imgsz", "projection")
_FILES = ("people", "hand_model", "prior", "limits")
_BAD = ("unreadable", "failures", "cut short", "chunks not written")  # ends of kinds of trouble


def _names(value: str) -> tuple[str, ...]:
    """Words with commas between."""
    return tuple(part.strip() for part in value.strip("[]()").split(",") if part.strip())


@dataclass(frozen=True)
class AnnotateOptions:
    """The keys of ``wilor-yolo annotate``."""

    source: str = key(..., text, "a video, picture, folder (with subfolders), glob or .txt list")
    out: str = key(..., text, "folder of the data set; a job that was stopped goes on in it")
    detectors: tuple[str, ...] = key(
        ("mediapipe", "wilor_yolo"),
        _names,
        "with commas: mediapipe, wilor_yolo (the shipped detector), the path of any Ultralytics "
        "hand model, a .json of detections, or a folder of OpenPose JSON files",
    )
    mediapipe: str | None = key(
        None, maybe(text), "mediapipe 0.10.21 wheel or folder of its .tflite files", "the cache"
    )
    people: str | None = key(
        None, maybe(text), "Ultralytics person or pose model; hands are looked for in people too"
    )
    people_conf: float = key(0.65, number(0, 1), "lowest score of a person")
    full_frame: bool = key(True, yes_no, "look at the full frame too when people= is given")
    conf: float = key(0.25, number(0, 1), "lowest score of an Ultralytics hand model")
    imgsz: int | None = key(
        None, maybe(whole(32, 8192)), "longer side Ultralytics hand models see, px", "their own"
    )
    device: str = key("cpu", text, "for Ultralytics models and fitting: cpu, cuda:0, ...")
    rate: float = key(2.0, number(0), "frames a second of a video to look at; 0: all")
    chunk: float = key(60.0, number(1), "seconds of video in a chunk, the unit of resuming")
    near_copy_bits: int = key(3, whole(-1, 63), "drop frames this like another; -1: keep all")
    keep: float = key(0.45, number(0, 1), "fused confidence from which a hand is believed")
    sure: float = key(0.6, number(0, 1), "confidence from which one detector alone is believed")
    unsure: float = key(
        0.2, number(0, 1), "from which a hand not believed keeps its picture out of the labels"
    )
    test_share: float = key(0.05, number(0, 1), "share of the videos that go to the test part")
    keep_empty: bool = key(False, yes_no, "write pictures without hands, as background")
    fit: bool = key(True, yes_no, "fit the hand model (Eqs. 2 to 4)")
    projection: str = key("full", choice("full", "weak"), "camera of the fit; the paper: weak")
    hand_model: str | None = hand_model_key()
    prior: str | None = key(None, maybe(text), "mesh prior .npz of that hand", "the free hand's")
    limits: str | None = key(None, maybe(text), "biomechanical limits .yaml", "ours")
    workers: int = key(1, whole(1), "processes; a video or a hundred pictures at a time each")
    engine: str = key(
        "local", choice("local", "ray"), "ray: spread over a Ray cluster (extra ray; RAY_ADDRESS)"
    )
    name: str = key("annotate", text, "name of the data set in the shards")


HELP = f"""\
wilor-yolo annotate: boxes, sides, landmarks and fitted hands of videos and pictures

  wilor-yolo annotate source=videos/ out=mydata
  wilor-yolo annotate source=list.txt out=mydata people=yolo11n.pt mediapipe=mediapipe.whl
  wilor-yolo annotate source=shots/ out=mydata detectors=wilor_yolo,openpose_json/ rate=5
  wilor-yolo annotate source=videos/ out=mydata workers=8

Run it again to go on after a stop. See docs/annotate.md.

Keys [defaults]:
{describe_keys(AnnotateOptions)}
{SHARDS_HELP}
{WHIM_HELP}"""


def run(args: list[str]) -> int:
    """Run the verb; 1 when something could not be read or written."""
    if args and args[0] == "shards":
        return fit_shards_of(args[1:])
    if args and args[0] == "whim":
        return extract_whim_of(args[1:])
    options = read_keys(AnnotateOptions, args, "annotate")
    if options.unsure > options.keep:
        raise HandError(f"unsure={options.unsure} is above keep={options.keep}; lower it.")
    if options.fit:
        check_model(options)
    from ..annotate.gather import collect, find_work
    from ..spread import spread

    tasks, before = find_work(options.source, JOB_PICTURES, Path(options.out))
    if not tasks:
        _worker(options)  # other settings than the folder's are refused all the same
    done = spread(partial(_worker, options), tasks, options.workers, options.engine)
    summary = collect(Path(options.out), tasks, done, _say, before)
    print(f"{options.out}: {summary}")
    bad = [kind for kind in summary.counts if kind.endswith(_BAD)]
    if bad:
        print(f"see {Path(options.out) / 'trouble.jsonl'}", file=sys.stderr)
    return 1 if bad else 0


def _worker(options: AnnotateOptions) -> Callable[[Task], Counter[str]]:
    """What a process of the job does with a task; it loads the networks once."""
    from ..annotate.engine import DETECTOR_FILES, AnnotationJob, JobSettings

    settings = JobSettings(
        rate=options.rate,
        chunk=options.chunk,
        pictures=JOB_PICTURES,
        near_copy_bits=options.near_copy_bits,
        keep=options.keep,
        sure=options.sure,
        unsure=options.unsure,
        test_share=options.test_share,
        keep_empty=options.keep_empty,
        fit=options.fit,
        source=options.name,
    )
    fitter = make_fitter(options) if options.fit else None
    models = {name: getattr(options, name) for name in _THRESHOLDS}
    models |= {name: _place(getattr(options, name)) for name in _FILES}
    models[DETECTOR_FILES] = [_place(detector) for detector in options.detectors]
    return AnnotationJob(options.out, _ensemble(options), fitter, settings, _say, models).do


def _place(model: str | None) -> str | None:
    """A model as the settings keep it: a file is the same from every working directory."""
    if model is None or model in _BUILT_IN or not Path(model).exists():
        return model
    return os.path.abspath(model)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _ensemble(options: AnnotateOptions) -> Ensemble:
    from ..annotate.ensemble import Ensemble
    from ..annotate.stored_finder import stored_finder

    finders: list[HandFinder] = []
    stored: list[StoredFinder] = []
    for wanted in options.detectors:
        path = Path(wanted)
        if wanted in _BUILT_IN:
            finders.append(_BUILT_IN[wanted](options))
        elif (
            path.is_dir() and not path.name.endswith("_openvino_model")
        ) or path.suffix == ".json":
            stored.append(stored_finder(path))
        else:
            from ..annotate.yolo_finder import YoloFinder

            finders.append(
                YoloFinder(path, conf=options.conf, imgsz=options.imgsz, device=options.device)
            )
    people = None
    if options.people is not None:
        from ..annotate.yolo_finder import PersonFinder

        people = PersonFinder(options.people, options.people_conf, device=options.device)
    return Ensemble(finders, stored, people, options.full_frame)


def _mediapipe(options: AnnotateOptions) -> HandFinder:
    from ..annotate.mediapipe_tflite import MediaPipeFinder

    alone = options.workers == 1 and options.engine == "local"
    return MediaPipeFinder(options.mediapipe, threads=0 if alone else 1)


def _shipped(options: AnnotateOptions) -> HandFinder:
    from ..annotate.yolo_finder import YoloFinder

    return YoloFinder(conf=options.conf, imgsz=options.imgsz, device=options.device)


_BUILT_IN: dict[str, Callable[[AnnotateOptions], HandFinder]] = {
    "mediapipe": _mediapipe,
    "wilor_yolo": _shipped,
}
