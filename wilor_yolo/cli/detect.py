"""``wilor-yolo detect train|val|predict|track|export``: the detector, with the keys of `yolo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import HandError
from .keys import did_you_mean
from .verbs import choose

if TYPE_CHECKING:
    from ..detect.model import HandDetector

__all__ = ["HELP", "run"]

_PARTS = ("train", "val", "predict", "track", "export")

HELP = """\
wilor-yolo detect: the hand detector; every key of `yolo pose ...` works here too

  wilor-yolo detect train   data=hands.yaml model=yolo11n-hand-pose.yaml epochs=100
  wilor-yolo detect train   resume=runs/pose/train/weights/last.pt
  wilor-yolo detect val     data=hands.yaml model=best.pt
  wilor-yolo detect predict source=photo.jpg conf=0.5
  wilor-yolo detect track   source=clip.mp4
  wilor-yolo detect export  format=onnx imgsz=320

Keys of our own:
  model=          detector file or model YAML [shipped weights; train: yolo11n-hand-pose.yaml]
  keypoint_loss=  train: l2 (paper Eq. 5), oks (stock) or none [of the model YAML: l2]
  mask_prob=      train: probability of patches painted over a picture [of the model YAML: 0.3]
  tighten_boxes=  train: refit boxes after a rotation [of the model YAML: True]
  turn_prob=      train: probability of turning a picture by quarters [of the model YAML: 0]
  stock_flips=    train: mirror without swapping the side, to compare [of the model YAML: False]

data=hand-sample.yaml is a small synthetic set that ships with the package. All other keys:
https://docs.ultralytics.com/usage/cfg. Training starts from our preset (rotation,
scale, flips that swap left and right), which given keys override.
"""


def run(args: list[str]) -> int:
    """Run the verb."""
    part, rest = choose("detect", args, _PARTS)
    settings = _settings(part, rest)
    model = settings.pop("model", None)
    if part == "train" and model is None and not settings.get("resume"):
        model = "yolo11n-hand-pose.yaml"
    if part == "train" and model is None and isinstance(settings["resume"], str):
        model, settings["resume"] = settings["resume"], True
    if part in {"train", "val"} and not settings.get("data") and not settings.get("resume"):
        raise HandError(f"detect {part} needs data=: a data YAML with train:, val: and names:.")
    if part == "track":
        from ..pipeline import can_track

        if not can_track():
            raise HandError('tracking needs lap: pip install "wilor-yolo[track]"')
    from ..detect.model import HandDetector

    detector = HandDetector(model, verbose=part in {"train", "val"})
    try:
        _call(detector, part, settings)
    except FileNotFoundError as error:
        raise HandError(_first_line(error)) from error
    return 0


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

    ours = set(HandOptions.names()) if part == "train" else set()
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
            settings[name] = parse_key_value_pair(argument)[1]
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
