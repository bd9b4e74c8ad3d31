"""`NetworkConfig`: every size and every variant of the network as one small dataclass."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import HandError, did_you_mean
from ..yaml_files import find_yaml, read_yaml

__all__ = ["LANDMARK_STEM", "NetworkConfig"]

LANDMARK_STEM = "hand-landmarks"
_SHIPPED = Path(__file__).parent / "cfg" / "networks"

_CHOICES = {
    "tokens": ("paper", "released"),
    "sampling": ("aligned", "released"),
    "aggregation": ("mean", "max", "sum"),
    "cam_origin": ("palm", "model"),
    "frame": ("ray", "camera"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "image_size": (16, 4096),
    "visible": (0.1, 1.0),
    "patch_size": (1, 256),
    "patch_padding": (0, 256),
    "dim": (4, 65536),
    "depth": (0, 1000),
    "heads": (1, 1000),
    "mlp_ratio": (0.1, 100.0),
    "drop_path": (0.0, 0.99),
    "scales": (0, 3),
    "iterations": (1, 100),
    "seen_rounds": (0, 100),
    "box_scale": (0.5, 10.0),
}


@dataclass(frozen=True)
class NetworkConfig:
    """What a reconstruction network is made of. Table 5's rows are yaml files of this class.

    Attributes:
        stem: ``"patch"`` for a plain ViT, or the timm name of a CNN whose last feature map gives
            the image tokens ("hybrid" ViT), or ``"yolo11n"``, ``"yolo11s"``: the body of a
            detector (:mod:`wilor_yolo.reconstruct.yolo_body`), or ``"hand-landmarks"``: that of a
            landmark network (:mod:`wilor_yolo.reconstruct.landmark_body`).
        image_size: side of the square crop, px.
        visible: share of the crop's width that the network sees; 0.75 for the released ViT.
        patch_size: patch side of the plain ViT, px.
        patch_padding: zero padding of the patch convolution; 2 in the released ViT.
        stem_level: which feature map of a timm CNN is used (index into ``features_only``).
        stem_lag: px by which the centre of a CNN map's cell lies before that of its patch; None
            for the families the trunk knows.
        dim, depth, heads, mlp_ratio: of the transformer; depth 0 pools the stem's map instead.
        drop_path: stochastic depth rate of the last block (training).
        tokens: ``"paper"``: one pose, one shape and one camera token, read by MLPs;
            ``"released"``: 16 pose tokens, one shape and one camera token, built from the mean
            parameters, read by single linear layers.
        keypoints: adds 21 keypoint tokens (:mod:`wilor_yolo.reconstruct.keypoint_tokens`); not in
            the paper.
        side: tells how likely the crop shows a right hand, against wrong sides of a detector; not
            in the paper.
        second_look: its hands are looked at twice, the second time turned upright
            (:mod:`wilor_yolo.reconstruct.second_look`); not in the paper.
        cam_origin: ``"palm"``: the camera head places the palm (mean of wrist and knuckles) in
            the crop, so that an error of orientation does not move the hand; ``"model"``: it
            places the model's origin, as the released code does. `cam` means the same in both.
        frame: ``"ray"``: orientation is relative to the line of sight through the crop's centre, as
            our training labels are (:mod:`wilor_yolo.reconstruct.ray`); ``"camera"``: it is taken
            for that of the camera, as the released code does.
        scales: levels of the refinement pyramid: 3 in the released model, 1 for "single-scale",
            0 for "without refinement".
        sampling: ``"aligned"``: features are read where the mesh projects (the paper's text);
            ``"released"``: where the released code reads them.
        aggregation: how the features of the 778 vertices become one vector.
        feedback: the refinement is also told how far the hand lies from the joints that a landmark
            stem sees; not in the paper.
        iterations: rounds of refinement with the same weights.
        seen_rounds: rounds, after these, of a small network that bends the hand towards the
            landmarks of a landmark stem (:mod:`wilor_yolo.reconstruct.seen_fit`); not in the paper.
        refine_cam: whether refinement corrects the camera too (the released code does).
        box_scale: crop side over max(width / visible, height) of the hand box.
        mean_cam: start value of (s, tx, ty).
    """

    stem: str = "patch"
    image_size: int = 256
    visible: float = 0.75
    patch_size: int = 16
    patch_padding: int = 0
    stem_level: int = -1
    stem_lag: float | None = None
    dim: int = 192
    depth: int = 12
    heads: int = 3
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    tokens: str = "paper"
    keypoints: bool = False
    side: bool = False
    second_look: bool = False
    cam_origin: str = "palm"
    frame: str = "ray"
    scales: int = 3
    sampling: str = "aligned"
    aggregation: str = "max"
    feedback: bool = False
    iterations: int = 1
    seen_rounds: int = 0
    refine_cam: bool = True
    box_scale: float = 2.0
    mean_cam: tuple[float, float, float] = (7.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.default)
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise HandError(f"{name}={getattr(self, name)} lies outside {least} to {most}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                given, known = getattr(self, name), ", ".join(choices)
                raise HandError(f"{name}={given!r} is unknown; choose one of {known}.")
        if self.depth and self.dim % self.heads:
            raise HandError(f"dim={self.dim} is not a multiple of heads={self.heads}.")
        if self.keypoints and self.tokens == "released":
            raise HandError("keypoints=true needs tokens=paper.")
        if self.stem == LANDMARK_STEM and self.tokens == "released":
            raise HandError(f"stem={LANDMARK_STEM} needs tokens=paper.")
        if self.keypoints and (self.feedback or self.seen_rounds):
            raise HandError(
                "keypoints=true hides the landmarks that feedback and seen_rounds read; give "
                "keypoints=false, or feedback=false and seen_rounds=0."
            )
        if self.feedback and (self.stem != LANDMARK_STEM or not self.scales):
            raise HandError(f"feedback=true needs stem={LANDMARK_STEM} and a refinement.")
        if self.seen_rounds and self.stem != LANDMARK_STEM:
            raise HandError(f"seen_rounds={self.seen_rounds} needs stem={LANDMARK_STEM}.")
        if self.stem == "patch" and self.visible_width % self.patch_size:
            raise HandError(
                f"the visible {self.visible_width} px are no multiple of "
                f"patch_size={self.patch_size}."
            )

    @property
    def visible_width(self) -> int:
        """Columns of the crop that the network sees, px."""
        return round(self.image_size * self.visible)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NetworkConfig:
        """From plain data; unknown keys are refused.

        Raises:
            HandError: an unknown key, with the nearest known one.
        """
        if not isinstance(data, dict):
            raise HandError(f"a network is described by keys and values, not by {data!r}.")
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                hint = did_you_mean(str(key), known)
                raise HandError(f"unknown network key {key!r}.{hint}")
        values = dict(data)
        if isinstance(values.get("mean_cam"), list):
            values["mean_cam"] = tuple(values["mean_cam"])
        return cls(**values)

    @classmethod
    def from_yaml(cls, source: str | Path) -> NetworkConfig:
        """From a yaml file, or by the name of one that ships with us (``"vit-tiny"``).

        Raises:
            HandError: no such file or name, no yaml, or an unknown key or value in it.
        """
        return cls.from_dict(read_yaml(find_yaml(source, _SHIPPED, "network")))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for yaml or JSON; the inverse of :meth:`from_dict`."""
        return {**asdict(self), "mean_cam": list(self.mean_cam)}


def _check_type(name: str, value: Any, default: Any) -> None:
    if name == "mean_cam":
        good = isinstance(value, tuple) and len(value) == 3 and all(map(_is_number, value))
        wanted = "three numbers"
    elif name == "stem_lag":
        good, wanted = value is None or _is_number(value), "a number"
    elif isinstance(default, bool):
        good, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        good, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(default, float):
        good, wanted = _is_number(value), "a number"
    else:
        good, wanted = isinstance(value, str), "text"
    if not good:
        raise HandError(f"{name}={value!r} must be {wanted}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
