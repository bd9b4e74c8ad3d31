"""Training of a hand detector: the one place that reaches into Ultralytics.

The model stays a stock `PoseModel` and the criterion hangs on the instance, so a checkpoint opens
in an Ultralytics that has never heard of this package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import torch
import ultralytics.data.utils
import ultralytics.engine.trainer
import ultralytics.nn.tasks
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.nn.modules import Pose
from ultralytics.nn.tasks import PoseModel
from ultralytics.utils import ONLINE, __version__
from ultralytics.utils.events import events
from ultralytics.utils.torch_utils import unwrap_model

from ..errors import HandError
from ..freed_memory import keep_freed_memory
from ..weights_dir import or_shipped
from .backbones import TimmBackbone
from .dataset import HandDataset, build_hand_dataset, check_hand_data, with_both_sides
from .losses import HandPoseLoss
from .options import HandOptions
from .provenance import MADE_BY, content_hash, data_hash, settings_hash
from .restricted import allow_backbones
from .validator import HandValidator

__all__ = [
    "HandTrainer",
    "name_backbones",
    "no_font_download",
    "no_usage_reports",
    "openvino_in_32_bits",
    "read_hand_data",
]


def name_backbones() -> None:
    """Let model YAMLs name our backbones; Ultralytics looks modules up in that name space."""
    assert hasattr(ultralytics.nn.tasks, "parse_model"), (
        f"ultralytics {__version__}: no parse_model"
    )
    ultralytics.nn.tasks.TimmBackbone = TimmBackbone  # type: ignore[attr-defined]  # new there


def no_usage_reports() -> None:
    """Switch off Ultralytics' usage reports for this process; its settings file stays as it is."""
    assert hasattr(events, "enabled"), f"ultralytics {__version__}: events have no switch"
    events.enabled = False


@contextmanager
def no_font_download() -> Iterator[None]:
    """Reading a data YAML looks for a font on the network, also when Ultralytics is offline.

    Offline, the search is skipped; plots then fall back to a font that is there.
    """
    assert hasattr(ultralytics.data.utils, "check_font"), (
        f"ultralytics {__version__}: no check_font"
    )
    stock = ultralytics.data.utils.check_font
    if not ONLINE:
        ultralytics.data.utils.check_font = lambda font: None
    try:
        yield
    finally:
        ultralytics.data.utils.check_font = stock


@contextmanager
def openvino_in_32_bits() -> Iterator[None]:
    """Models that OpenVINO loads in here compute in float32.

    On CPUs with bfloat16 OpenVINO takes that for the working type of a float32 model, unasked.
    Boxes then move by several pixels, and a hand near the confidence limit comes or goes.
    """
    import openvino

    stock = openvino.Core

    def exact(*args: Any) -> Any:
        core = stock(*args)
        core.set_property("CPU", {"INFERENCE_PRECISION_HINT": openvino.Type.f32})
        return core

    openvino.Core = exact  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        openvino.Core = stock  # type: ignore[misc]


@contextmanager
def bfloat16_on_cpus() -> Iterator[None]:
    """`amp=bf16` works on CPUs too, where Ultralytics refuses it.

    It pays on CPUs that multiply in bfloat16 (AVX512-BF16, AMX); others are slower with it.
    """
    assert hasattr(ultralytics.engine.trainer, "autocast"), (
        f"ultralytics {__version__}: its trainer has no autocast"
    )
    stock = ultralytics.engine.trainer.autocast

    def autocast(enabled: bool | torch.dtype, device: str = "cuda") -> Any:
        if device == "cpu" and enabled is torch.bfloat16:
            return torch.autocast("cpu", torch.bfloat16)
        return stock(enabled, device=device)

    ultralytics.engine.trainer.autocast = autocast
    try:
        yield
    finally:
        ultralytics.engine.trainer.autocast = stock


def read_hand_data(path: str | Path, split: str = "val") -> dict[str, Any]:
    """A data YAML as Ultralytics reads it, checked to be one of hands.

    Args:
        path: of the YAML.
        split: the part beside `train` that has to be there.

    Raises:
        HandError: it is none, or its folders are not there.
    """
    return _checked(path, lambda: ultralytics.data.utils.check_det_dataset(str(path), split=split))


def _checked(
    path: object, read: Callable[[], dict[str, Any]], single_cls: bool = False
) -> dict[str, Any]:
    try:
        with no_font_download():
            data = read()
    # Ultralytics' own complaints about a data YAML, and its trainer's wrapper of them.
    except (FileNotFoundError, KeyError, RuntimeError, SyntaxError, TypeError, ValueError) as error:
        cause = error.__cause__ or error
        text = str(cause.args[0]) if isinstance(cause, KeyError) else str(cause)
        reason = " ".join(text.split("Note dataset")[0].split())
        raise HandError(f"data={path}: {reason}") from error
    check_hand_data(data, single_cls)
    return data if single_cls else with_both_sides(data)


class HandTrainer(PoseTrainer):
    """PoseTrainer with the hand data set, the hand criterion and the hand validator.

    Its own options are read from the `hand:` block of the model YAML, see `options.py`.
    """

    # Ultralytics declares what these are before they are set.
    args: Any
    model: Any
    last: Path
    best: Path
    ema: Any
    train_loader: Any
    _hashes: dict[str, str] | None = None

    def train(self) -> None:
        """See the base class."""
        if self.device.type == "cpu":
            keep_freed_memory()
        with bfloat16_on_cpus():
            super().train()

    def get_dataset(self) -> dict[str, Any]:
        """The data YAML, checked to be one of hands."""
        return _checked(self.args.data, super().get_dataset, single_cls=self.args.single_cls)

    def get_model(
        self,
        cfg: str | Path | dict[str, Any] | None = None,
        weights: torch.nn.Module | None = None,
        verbose: bool = True,
    ) -> PoseModel:
        """A stock PoseModel whose YAML carries the options."""
        model: Any = super().get_model(cfg, weights, verbose)
        if type(model.model[-1]) is not Pose:
            raise HandError(
                f"the head {type(model.model[-1]).__name__} has another loss; "
                "train a YOLOv8 or YOLO11 pose model"
            )
        model.yaml = HandOptions.from_model_yaml(model.yaml).to_model_yaml(model.yaml)
        return model

    def build_dataset(
        self, img_path: str, mode: str = "train", batch: int | None = None
    ) -> HandDataset:
        """The training or validation pictures under `img_path`."""
        model: Any = unwrap_model(self.model)
        return build_hand_dataset(
            self.args,
            img_path,
            batch,
            self.data,
            HandOptions.from_model_yaml(model.yaml),
            mode=mode,
            rect=mode == "val",
            stride=max(int(model.stride.max()), 32),
        )

    def set_class_weights(self) -> None:
        """As stock, and install the criterion: the last hook before the EMA copies the model."""
        super().set_class_weights()
        assert self.ema is None, f"ultralytics {__version__}: the EMA is made before class weights"
        model: Any = unwrap_model(self.model)
        model.criterion = HandPoseLoss(model, HandOptions.from_model_yaml(model.yaml))

    def save_model(self) -> bool:
        """As stock, with what it was made by in the network's YAML; a kill in the middle leaves the
        checkpoint of the epoch before."""
        network: Any = self.ema.ema
        network.yaml[MADE_BY] = self._made_by(network.yaml)
        whole = self.last, self.best
        self.last, self.best = (path.with_name(path.name + ".part") for path in whole)
        parts = self.last, self.best
        try:
            saved = super().save_model()
        finally:
            self.last, self.best = whole
        for part, path in zip(parts, whole, strict=True):
            if part.exists():
                os.replace(part, path)
        return saved

    def _made_by(self, definition: dict[str, Any]) -> dict[str, str]:
        before = definition.get(MADE_BY)
        if self._hashes is None and self.args.resume and before:
            # The weights it goes on from are its own.
            self._hashes = {k: before[k] for k in ("config_hash", "data_hash")}
        if self._hashes is None:
            told = self.args.pretrained
            start = or_shipped(told if isinstance(told, str) else str(self.args.model))
            weights = start.suffix == ".pt" and start.is_file()
            content = content_hash(start.read_bytes()) if weights else None
            self._hashes = {
                "config_hash": settings_hash(definition, vars(self.args), content),
                "data_hash": data_hash(self.train_loader.dataset),
            }
        return {"steps": str(self.ema.updates), "seed": str(self.args.seed), **self._hashes}

    def final_eval(self) -> None:
        """As stock; the layers of an ablation's backbone may be read back in restricted mode."""
        for path in (self.last, self.best):
            if path.exists():
                allow_backbones(path)
        super().final_eval()

    def get_validator(self) -> HandValidator:
        """The validator used after each epoch."""
        return HandValidator(
            self.test_loader,
            save_dir=self.save_dir,
            args=copy(self.args),
            _callbacks=self.callbacks,
        )
