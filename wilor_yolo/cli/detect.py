"""``wilor-yolo detect train|val|predict|...``: the detector, with the keys of `yolo`."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HandError, did_you_mean
from .verbs import choose

if TYPE_CHECKING:
    from ..detect.model import HandDetector

__all__ = ["HELP", "run"]

_PARTS = ("train", "val", "predict", "track", "export", "sheet", "sizes", "ablate")

HELP = """\
wilor-yolo detect: the hand detector; every key of `yolo pose ...` works here too

  wilor-yolo detect train   data=hands.yaml model=yolo11n-hand-pose.yaml epochs=100
  wilor-yolo detect train   resume=runs/pose/train/weights/last.pt
  wilor-yolo detect sheet   data=hands.yaml degrees=30 out=sheet.jpg
  wilor-yolo detect val     data=hands.yaml model=best.pt
  wilor-yolo detect predict source=photo.jpg conf=0.5
  wilor-yolo detect track   source=clip.mp4
  wilor-yolo detect export  format=onnx imgsz=320
  wilor-yolo detect ablate  data=whim.yaml test=[oxford.yaml,whim.yaml] steps=50000
  wilor-yolo detect sizes

Keys of our own:
  model=          detector file or model YAML [shipped weights; train: yolo11n-hand-pose.yaml]
  keypoint_loss=  train: l2 (paper Eq. 5), oks (stock) or none [of the model YAML: l2]
  mask_prob=      train: probability of patches painted over a picture [of the model YAML: 0.3]
  tighten_boxes=  train: refit boxes after a rotation [of the model YAML: True]
  turn_prob=      train: probability of turning a picture by quarters [of the model YAML: 0]
  straight_end=   train: close_mosaic= ends rotation too [of the model YAML: True]
  stock_flips=    train: mirror without swapping the side, to compare [of the model YAML: False]

Weights of the loss (paper Eq. 5) are stock keys: cls= (BCE) [0.5], dfl= [1.5], box= (CIoU) [7.5],
pose= (keypoints) [12], kobj= (visibility of keypoints) [1].

sheet: what a training with these keys is shown, with its labels
  out=            picture to write [sheet.jpg]
  count= columns= pictures, and how many in a row [24, 6]
sizes: parameters, GFLOPs and file size of the networks; imgsz= [640], model= [all]
ablate: the rows of a grid on the same data and budget; prints a table after every row
  grid=           table2 (the paper's), ours, or a yaml file like those [table2]
  out=            folder; a run in it for each row, ablation.csv and ablation.md
                  [runs/ablate/GRID]; the same command again goes on where it was
  rows=           only these rows, as in rows=[full,hrnet]
  steps=          batches for every row, rounded to whole epochs (or give epochs=)
  test=           data YAMLs whose val part every row is measured on [data=]
  ROW.KEY=        for one row: oxford-hands.data=oxford.yaml hrnet.batch=8
  all keys of train; model= is yolov8m-hand-pose.yaml if not given, as in the paper

data=hand-sample.yaml is a small synthetic set that ships with the package. All other keys:
https://docs.ultralytics.com/usage/cfg. Training starts from our preset (rotation,
scale, flips that swap left and right), which given keys override.
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("detect", args, _PARTS)
    if part == "ablate":
        return _ablate(rest)
    settings = _settings(part, rest)
    if part == "sheet":
        return _sheet(settings)
    if part == "sizes":
        return _sizes(settings)
    model = settings.pop("model", None)
    if part == "train" and model is None and not settings.get("resume"):
        model = "yolo11n-hand-pose.yaml"
    if part == "train" and model is None and isinstance(settings["resume"], str):
        model, settings["resume"] = settings["resume"], True
    if part == "train" and model is None and settings.get("resume"):
        raise HandError("write resume=PATH/last.pt: the checkpoint of the training to go on with.")
    if part in {"train", "val"} and not settings.get("data") and not settings.get("resume"):
        raise HandError(f"detect {part} needs data=: a data YAML with train:, val: and names:.")
    if part == "track":
        from ..detect.stock_files import require_tracker
        from ..pipeline import can_track

        if not can_track():
            raise HandError('tracking needs lap: pip install "wilor-yolo[track]"')
        if settings.get("tracker") is not None:
            require_tracker(settings["tracker"])
    from ..detect.model import HandDetector

    detector = HandDetector(model, verbose=part in {"train", "val"})
    try:
        _call(detector, part, settings)
    except FileNotFoundError as error:
        raise HandError(_first_line(error)) from error
    except (AssertionError, TypeError, ValueError) as error:
        if not _raised_by_ultralytics(error):  # it checks most keys where it needs them
            raise
        raise HandError(_first_line(error)) from error
    return 0


def _raised_by_ultralytics(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_globals.get("__name__", "").startswith("ultralytics.")


def _sheet(settings: dict[str, Any]) -> int:
    from ..detect.model import HandDetector, data_yaml
    from ..detect.options import HandOptions
    from ..detect.sheet import training_sheet
    from ..detect.working_point import IMAGE_SIZE
    from .pictures import write_picture

    out = Path(str(settings.pop("out", "sheet.jpg")))
    count, columns = settings.pop("count", 24), settings.pop("columns", 6)
    for name, value in (("count", count), ("columns", columns)):
        if not isinstance(value, int) or value < 1:
            raise HandError(f"{name}={value} should be a whole number from 1 up.")
    if not settings.get("data"):
        raise HandError("detect sheet needs data=: a data YAML with train:, val: and names:.")
    data = data_yaml(settings.pop("data"))
    detector = HandDetector(settings.pop("model", "yolo11n-hand-pose.yaml"))
    options = HandOptions.from_model_yaml(detector.model.yaml)
    given = {name: settings.pop(name) for name in HandOptions.names() if name in settings}
    options = replace(options, **given)
    sheet = training_sheet(data, options, {"imgsz": IMAGE_SIZE, **settings}, count, columns)
    write_picture(out, sheet)
    print(f"{count} training pictures of {data}: {out}")
    return 0


def _sizes(settings: dict[str, Any]) -> int:
    from ..detect.presets import MODEL_YAMLS
    from ..detect.sizes import format_sizes, model_size
    from .rows import words_in

    imgsz = settings.pop("imgsz", 640)
    names = settings.pop("model", MODEL_YAMLS)
    if settings:
        raise HandError(f"detect sizes takes imgsz= and model=, not {', '.join(settings)}=.")
    if not isinstance(imgsz, int) or imgsz < 32:
        raise HandError(f"imgsz={imgsz} should be a whole number from 32 up.")
    print(format_sizes([model_size(name, imgsz) for name in words_in(names)]))
    return 0


def _ablate(args: Sequence[str]) -> int:
    """Keys with a dot are single rows'; they are checked like the others."""
    from .detect_ablate import ablate

    of_rows = {}
    shared = []
    for argument in args:
        key = argument.lstrip("-").partition("=")[0].strip()
        _, dot, tail = key.partition(".")
        if dot and "=" in argument:
            value = argument.partition("=")[2].strip()
            of_rows[key] = _settings("ablate", [f"{tail}={value}"])[tail]
        else:
            shared.append(argument)
    return ablate(_settings("ablate", shared), of_rows)


def _call(detector: HandDetector, part: str, settings: dict[str, Any]) -> None:
    if part in {"predict", "track"}:
        if settings.get("source") is None:
            from .predict import bundled_picture

            settings["source"] = str(bundled_picture())
        settings.setdefault("save", True)  # as the command `yolo` does
        source = settings.pop("source")
        # Streaming: the results of a long video do not fit in memory.
        for _ in getattr(detector, part)(source, stream=True, **settings):
            pass
    else:
        result = getattr(detector, part)(**settings)
        if part == "export":
            print(result)


def _settings(part: str, args: Sequence[str]) -> dict[str, Any]:
    """The keys as `yolo` reads them, checked against Ultralytics' list and ours.

    Raises:
        HandError: an unknown key or a value of the wrong kind.
    """
    from ultralytics.cfg import (
        DEFAULT_CFG_DICT,
        get_cfg,
        merge_equals_args,
        parse_key_value_pair,
    )
    from ultralytics.utils import YAML

    from ..detect.options import HandOptions
    from .detect_ablate import KEYS

    ours = set(HandOptions.names()) if part in {"train", "sheet", "ablate"} else set()
    ours |= {"sheet": {"out", "count", "columns"}, "ablate": set(KEYS)}.get(part, set())
    known = (set(DEFAULT_CFG_DICT) - {"mode", "task"}) | {"model"} | ours
    settings: dict[str, Any] = {}
    try:
        merged = merge_equals_args([argument.lstrip("-") for argument in args])
    except SyntaxError as error:
        raise HandError(_first_line(error)) from None
    for argument in merged:
        name, equals, _ = argument.partition("=")
        name = name.strip()
        if name not in known:
            raise HandError(f"detect {part} has no key {name!r}.{_hint(name, known)}")
        if not equals:
            if not isinstance(DEFAULT_CFG_DICT.get(name), bool):
                raise HandError(f"{name} needs a value: {name}=...")
            settings[name] = True
            continue
        try:
            value = parse_key_value_pair(argument)[1]
            settings[name] = "none" if name == "keypoint_loss" and value is None else value
        except AssertionError:
            raise HandError(f"{name}= has no value; write {name}=... or leave it out.") from None
    if preset := settings.pop("cfg", None):
        try:
            loaded = YAML.load(preset)
        except (OSError, AssertionError) as error:
            raise HandError(f"cfg={preset} cannot be read: {_first_line(error)}") from None
        for name in loaded:
            if name not in known:
                raise HandError(f"{preset} has an unknown key {name!r}.{_hint(name, known)}")
        settings = {**loaded, **settings}
    try:
        get_cfg(overrides={k: v for k, v in settings.items() if k not in ours})
    except (SyntaxError, TypeError, ValueError) as error:
        raise HandError(_first_line(error)) from None
    return settings


def _hint(name: str, known: set[str]) -> str:
    import difflib

    if difflib.get_close_matches(name, known, 1, 0.6):
        return did_you_mean(name, known)
    return " See https://docs.ultralytics.com/usage/cfg for the keys."


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
