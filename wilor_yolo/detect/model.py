"""HandDetector: an Ultralytics YOLO that knows left from right."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from ultralytics import YOLO
from ultralytics.nn.tasks import PoseModel, load_checkpoint
from ultralytics.utils import DEFAULT_CFG_DICT, YAML

from ..errors import HandError, WeightsError, one_line
from ..weights_dir import DETECTOR, or_shipped, or_shipped_dataset, shipped, weights_dir
from .options import HandOptions
from .predictor import HandPredictor
from .presets import MODEL_YAMLS, read_model_yaml, training_preset
from .restricted import require_network
from .trainer import (
    HandTrainer,
    name_backbones,
    no_font_download,
    no_usage_reports,
    openvino_in_32_bits,
    read_hand_data,
)
from .validator import HandValidator
from .working_point import IMAGE_SIZE, IOU

__all__ = ["HandDetector", "data_yaml"]

_ONE_BOX_A_HAND = {"agnostic_nms": True, "iou": IOU}


class HandDetector(YOLO):
    """Boxes, sides and 21 keypoints of hands; an Ultralytics YOLO without `tune` and `benchmark`.

    Class 0 is a left hand, 1 a right hand. One hand never comes out twice, once a side, unless
    `agnostic_nms=False` is given. Of boxes that overlap by more than `iou=0.5` predicting, tracking
    and exporting keep the surest, as `HandPipeline` does; validation keeps Ultralytics' 0.7, so
    that average precisions compare with those of other detectors. Predicting and tracking also drop
    a box around a surer one (:mod:`wilor_yolo.detect.predictor`).

    Args:
        model: a `.pt` or exported detector, the name of one that ships with the package
            ("hand-s.pt"), the name of a model YAML of this package ("yolo11n-hand-pose.yaml"), the
            path of another one, or None for "hand-n.pt", the default.
        verbose: describe the model when it is loaded.

    Raises:
        WeightsError: there is no such file, it is not a detector, or it holds code that the
            restricted loader refuses to run.
    """

    # Ultralytics declares what these are before they are set.
    cfg: Any
    model: Any

    def __init__(self, model: str | Path | None = None, verbose: bool = False) -> None:
        path = _locate(model)
        no_usage_reports()
        name_backbones()
        super().__init__(str(path), task="pose", verbose=verbose)
        if self.task != "pose":
            raise WeightsError(f"{path} is a {self.task} model; a hand detector is a pose model")

    def __getstate__(self) -> dict[str, Any]:
        # Made at the first prediction, and anew by the copy; it holds a lock.
        return {**self.__dict__, "predictor": None}

    @property
    def image_size(self) -> int:
        """Longer side of the pictures it was trained on, px; `IMAGE_SIZE` if the file is silent."""
        size = self.overrides.get("imgsz", IMAGE_SIZE)
        return max(size) if isinstance(size, (list, tuple)) else int(size)

    @property
    def task_map(self) -> dict[str, dict[str, Any]]:
        """The stock map with our trainer, validator and predictor for "pose"."""
        stock = super().task_map
        ours = {"trainer": HandTrainer, "validator": HandValidator, "predictor": HandPredictor}
        return {**stock, "pose": {**stock["pose"], **ours}}

    def train(  # type: ignore[override]  # ours is the one trainer
        self,
        *,
        keypoint_loss: str | None = None,
        mask_prob: float | None = None,
        tighten_boxes: bool | None = None,
        turn_prob: float | None = None,
        straight_end: bool | None = None,
        stock_flips: bool | None = None,
        **settings: Any,
    ) -> Any:
        """Train with the preset `cfg/hand.yaml`.

        Args:
            keypoint_loss, mask_prob, tighten_boxes, turn_prob, straight_end, stock_flips: see
                :class:`HandOptions`; None keeps what the model YAML or the checkpoint says.
            settings: any Ultralytics training argument; they override the preset. `data` is a data
                YAML, or the name of one that ships with the package ("hand-sample.yaml").
                `pretrained` may be the path of weights whose fitting layers are taken. `cfg` is a
                YAML of such arguments and of the options above; it overrides the preset, and what
                is given here overrides it.

        Returns:
            The validation metrics of the best epoch.

        Raises:
            HandError: there is no data YAML, or `resume` of a training that is finished.
        """
        self._check_is_pytorch_model()
        if settings.pop("trainer", None) not in (None, HandTrainer):
            raise HandError("a hand detector trains with HandTrainer; leave trainer= out")
        given = {
            "keypoint_loss": keypoint_loss,
            "mask_prob": mask_prob,
            "tighten_boxes": tighten_boxes,
            "turn_prob": turn_prob,
            "straight_end": straight_end,
            "stock_flips": stock_flips,
        }
        given = {name: value for name, value in given.items() if value is not None}
        settings = {**_settings_file(settings.pop("cfg", None)), **settings, **given}
        given = {name: settings.pop(name) for name in HandOptions.names() if name in settings}
        for key in ("pretrained", "resume"):
            if isinstance(settings.get(key), (str, Path)):
                settings[key] = str(existing_model(Path(settings[key])))
        if settings.get("data"):
            settings["data"] = data_yaml(settings["data"])
        if settings.get("resume"):
            if given:
                raise HandError(f"{', '.join(given)} cannot change on resume; start a new training")
            remembered = self._data_to_resume(settings["resume"])
            settings["data"] = settings.get("data") or _remembered(remembered)
            return super().train(**settings)
        if not settings.get("data"):
            raise HandError("train needs data=<your data YAML>")
        old = HandOptions.from_model_yaml(self.model.yaml)
        new = HandOptions(**{name: given.get(name, getattr(old, name)) for name in old.names()})
        self.model.yaml = new.to_model_yaml(self.model.yaml)
        return super().train(
            trainer=self._new_trainer, **{**training_preset(), "imgsz": IMAGE_SIZE, **settings}
        )

    def val(self, **settings: Any) -> Any:  # type: ignore[override]  # ours is the one validator
        """Stock validation, class-agnostic suppression by default (`iou=0.7`, as stock).

        Args:
            settings: any Ultralytics validation argument; `data` is a data YAML, or the name of one
                that ships with the package ("hand-sample.yaml"); by default that of the training.

        Raises:
            HandError: there is no data YAML, or it is not one of hands.
        """
        given = settings.get("data")
        settings["data"] = data_yaml(given) if given else _remembered(self.overrides.get("data"))
        read_hand_data(settings["data"], settings.get("split") or "val")
        with no_font_download(), self._exactly(settings):
            return super().val(**{"agnostic_nms": True, **settings})

    def tune(self, *args: Any, **settings: Any) -> NoReturn:
        """Not for hands: Ultralytics would tune its own trainer, whose flips teach wrong sides.

        Raises:
            HandError: always.
        """
        raise HandError(
            "tune would run Ultralytics' own trainer; compare values with train() in a loop, "
            "or with the rows of `wilor-yolo detect ablate grid=`"
        )

    def benchmark(self, *args: Any, **settings: Any) -> NoReturn:  # type: ignore[override]
        """Not for hands: Ultralytics would measure exported files with its own validation.

        That suppresses left and right hands side by side and unpickles label caches; without
        `data` it asks for COCO's.

        Raises:
            HandError: always.
        """
        raise HandError(
            "benchmark would measure files with Ultralytics' own validation; do it format by "
            'format: HandDetector(detector.export(format="onnx")).val(data="hand-sample.yaml"), '
            "or `wilor-yolo bench detector=FILE` for the speed"
        )

    def predict(  # type: ignore[override]  # without the predictor's class
        self, source: Any = None, stream: bool = False, **settings: Any
    ) -> Any:
        """Stock prediction, by default with class-agnostic suppression (`iou=0.5`), and without
        boxes around surer ones.

        Args:
            source: picture, video, folder, camera number, array (H, W, 3) BGR, or a list of them.
            stream: return a generator instead of a list.
            settings: any Ultralytics prediction argument.

        Returns:
            Stock `Results`, one a picture or frame.
        """
        with self._exactly(settings):
            return super().predict(source, stream, **{**_ONE_BOX_A_HAND, **settings})

    def export(self, **settings: Any) -> str:
        """Stock export; with `nms=True`, the suppression in the file is class-agnostic too.

        Without `nms=True` the file gives raw candidates, and whoever runs it suppresses: this class
        does it class-agnostically, stock Ultralytics side by side unless told `agnostic_nms=True`.

        Args:
            settings: any Ultralytics export argument.

        Returns:
            The path of the file or folder written beside the `.pt`; for weights that ship with the
            package in the working directory.

        Raises:
            HandError: there is no such format, or it cannot be made on this machine.
        """
        self._check_is_pytorch_model()
        start = Path(self.ckpt_path or "")
        if start.parent == weights_dir():
            self.model.pt_path = str(Path.cwd() / start.name)  # Ultralytics names the file by it
        try:
            return super().export(**{**_ONE_BOX_A_HAND, **settings})
        except (AssertionError, ImportError, OSError, RuntimeError, ValueError) as error:
            reason = one_line(error, 1000)
            raise HandError(f"export format={settings.get('format')}: {reason}") from error

    def _check_is_pytorch_model(self) -> None:
        """As stock, in one line."""
        try:
            super()._check_is_pytorch_model()
        except TypeError:
            raise HandError(
                f"{self.model} is an exported detector: it predicts, tracks and validates; "
                "training and exporting start from its .pt"
            ) from None

    def _data_to_resume(self, resume: object) -> object:
        """The data YAML of the training to go on with; Ultralytics would start a new one instead.

        Raises:
            HandError: the checkpoint is not that of a training under way.
        """
        resumed = self.overrides["model"] if resume is True else resume
        checkpoint = self.ckpt if resume is True else load_checkpoint(resume)[1]
        if not checkpoint or checkpoint.get("optimizer") is None:
            raise HandError(
                f"{resumed} cannot be resumed, it has no optimizer (its training is finished, or "
                "never began); leave resume= out to start a new one"
            )
        return checkpoint.get("train_args", {}).get("data")

    def _exactly(self, settings: dict[str, Any]) -> AbstractContextManager[None]:
        """Exported models compute as exactly as the `.pt`, unless `quantize=16` or 8 is given."""
        exported = isinstance(self.model, (str, Path)) and (
            str(self.model).rstrip("/").endswith("_openvino_model")
            or str(self.model).endswith(".xml")
        )
        if not exported or settings.get("quantize") not in (None, 32):
            return nullcontext()
        return openvino_in_32_bits()

    def _new(self, cfg: str, task: str | None = None, verbose: bool = False) -> None:
        """As stock; a model YAML of this package is found by its name."""
        if cfg not in MODEL_YAMLS:
            return super()._new(cfg, task, verbose)
        self.cfg = self.model_name = cfg
        self.task = "pose"
        self.model = PoseModel(read_model_yaml(cfg), verbose=verbose)
        self.overrides.update(model=cfg, task="pose")
        self.model.args = {**DEFAULT_CFG_DICT, **self.overrides}
        self.model.task = "pose"

    def _new_trainer(
        self, overrides: dict[str, Any], _callbacks: dict[str, list[Any]]
    ) -> HandTrainer:
        """A trainer for this detector; Ultralytics itself hands over only models with weights."""
        trainer = HandTrainer(overrides=overrides, _callbacks=_callbacks)
        if not self.ckpt:
            start = overrides.get("pretrained")
            weights = load_checkpoint(start)[0] if isinstance(start, str) else None
            trainer.model = trainer.get_model(cfg=self.model.yaml, weights=weights)
        return trainer


def _locate(model: str | Path | None) -> Path:
    if model is None:
        return shipped(DETECTOR)
    path = Path(model)
    if path.suffix in {".yaml", ".yml"} and not path.exists():
        read_model_yaml(path.name)  # raises when the name is unknown too
        return Path(path.name)
    return existing_model(path)


def data_yaml(data: object) -> str:
    """Path of a data YAML, or of the shipped one of that name.

    Raises:
        HandError: there is none, or `data` names several.
    """
    if not isinstance(data, (str, Path)):
        raise HandError("data takes one data YAML; list several folders under its train: key")
    path = or_shipped_dataset(data)
    if path.is_dir():
        raise HandError(f"{data} is a folder; give the data YAML in it (docs/datasets.md).")
    if not path.is_file():
        raise HandError(f"there is no data YAML {data}")
    return str(path)


def _remembered(data: object) -> str:
    """The data YAML a checkpoint was trained on; Ultralytics would download COCO for want of it."""
    if not data:
        raise HandError("this detector remembers no data set; give data=<your data YAML>")
    if not isinstance(data, (str, Path)) or not Path(data).is_file():
        raise HandError(f"the data set of the training, {data}, is gone; give data=<its YAML>")
    return str(data)


def _settings_file(path: str | Path | None) -> dict[str, Any]:
    """The training arguments in a YAML; which model and what to do with it is known already."""
    if not path:
        return {}
    try:
        settings = YAML.load(path)
    except (AssertionError, OSError, ValueError) as error:
        raise HandError(f"cfg={path} cannot be read: {one_line(error)}") from error
    return {k: v for k, v in settings.items() if k not in {"model", "task", "mode"}}


def existing_model(path: Path) -> Path:
    """A file, or a folder that `export` made, that may be a detector; shipped ones by their name.

    Raises:
        WeightsError: it is not there, is something else, or wants to run code.
    """
    path = or_shipped(path)
    if not path.exists():
        raise WeightsError(f"there is no {path}; give the path of a detector file")
    if path.suffix in {".safetensors", ".ckpt"}:
        raise WeightsError(f"{path} is no detector; is it a reconstructor (reconstructor=)?")
    if path.suffix not in {".pt", ".yaml", ".yml"} and not _is_exported(path):
        raise WeightsError(f"{path} is no detector; one is a .pt file, or what export made of it")
    if path.suffix == ".pt":
        _refuse_code(path)
    return path


def _is_exported(path: Path) -> bool:
    from ultralytics.engine.exporter import export_formats  # late: only exported files need it

    return path.name.endswith(tuple(export_formats()["Suffix"]))


def _refuse_code(path: Path) -> None:
    """Raise WeightsError unless the restricted loader finds a network in the checkpoint `path`.

    Ultralytics looks at its environment variable once, when it is imported, possibly before this
    package; so the file is read here first.
    """
    if os.environ.get("ULTRALYTICS_SAFE_LOAD", "1").lower() not in {"0", "false"}:
        require_network(path)
