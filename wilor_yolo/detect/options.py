"""The detector's own training options, which Ultralytics has no keys for.

They live in the model YAML under `hand:`. Ultralytics keeps unknown keys of a model YAML in
`model.yaml`, hence in every checkpoint, so they survive resuming and fine-tuning without a patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import HandError

__all__ = ["KEYPOINT_LOSSES", "HandOptions"]

KEYPOINT_LOSSES = ("l2", "oks", "none")


@dataclass(frozen=True)
class HandOptions:
    """What a hand detector's training does beyond the stock arguments.

    Attributes:
        keypoint_loss: "l2" (paper Eq. 5), "oks" (the stock pose loss) or "none" (the paper's
            ablation without landmark loss).
        mask_prob: probability that patches are painted over a training picture (paper section 5.1,
            "random masking").
        tighten_boxes: refit boxes after a random rotation instead of boxing their rotated corners.
        turn_prob: probability that a training picture is turned by a quarter, a half or three
            quarters. Not in the paper: with upright pictures only, a network learns "an arm from
            the right is a right hand" sooner than it learns to tell palms from backs.
        straight_end: when `close_mosaic` ends mosaic and mixup, end the rotation by `degrees` too.
            Not in the paper: the box of a turned hand is a guess, a little large on average.
        stock_flips: mirror pictures and keep the class, as stock Ultralytics does. It teaches wrong
            sides, and is here to measure how much.
    """

    keypoint_loss: str = "l2"
    mask_prob: float = 0.3
    tighten_boxes: bool = True
    turn_prob: float = 0.0
    straight_end: bool = True
    stock_flips: bool = False

    def __post_init__(self) -> None:
        if self.keypoint_loss not in KEYPOINT_LOSSES:
            choices = ", ".join(KEYPOINT_LOSSES)
            raise HandError(f"keypoint_loss={self.keypoint_loss!r}; choose one of {choices}")
        for name in ("mask_prob", "turn_prob"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise HandError(f"{name}={value} is not a probability between 0 and 1")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The option names, as training arguments and as keys under `hand:`."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_model_yaml(cls, model_yaml: Mapping[str, Any]) -> HandOptions:
        """Read the `hand:` block of a model YAML; a model without one has the defaults."""
        block = model_yaml.get("hand") or {}
        if unknown := set(block) - set(cls.names()):
            known = ", ".join(cls.names())
            raise HandError(f"unknown keys {sorted(unknown)} under hand:, the keys are {known}")
        return cls(**block)

    def to_model_yaml(self, model_yaml: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of `model_yaml` with these options in its `hand:` block."""
        return {**model_yaml, "hand": asdict(self)}
