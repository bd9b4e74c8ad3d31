"""Batches for training and validation: encoded samples in, tensors with availability masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import roma
import torch
from torch import Tensor

from ..crops import normalise
from ..samples import EncodedSample, HandSample
from .augment import (
    AugmentConfig,
    CropLabels,
    change_colours,
    plain_view,
    random_view,
    take_crop,
    view_labels,
)
from .config import NetworkConfig

__all__ = ["HandBatch", "HandTargets", "make_batch"]


@dataclass
class HandTargets:
    """What is known about B hands, in the right-hand view of their crops. Zeros where unknown.

    Attributes:
        keypoints_2d: (B, 21, 3) crop units and confidence.
        joints_3d: (B, 21, 3) metres, relative to the wrist.
        joints_3d_weight: (B,) 0 where unknown.
        global_orient: (B, 3, 3).
        hand_pose: (B, 15, 3, 3).
        betas: (B, 10).
        has_parameters: (B,) 1 or 0.
        shows_right: (B,) 1 where the crop shows a right hand, 0 where it was mirrored once too
            often (`AugmentConfig.mirror_probability`); such a crop has no other label.
    """

    keypoints_2d: Tensor
    joints_3d: Tensor
    joints_3d_weight: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    has_parameters: Tensor
    shows_right: Tensor

    def to(self, device: torch.device) -> HandTargets:
        """The same on another device."""
        return HandTargets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class HandBatch:
    """Crops (B, 3, S, S) as the network reads them, their targets, and names for messages.

    Attributes:
        crops: normalised RGB, float32.
        targets: see `HandTargets`.
        keys: (B,) "source/key".
        box_sides: (B,) longer side of each hand box, in crop units.
        shards: (B,) the file each came from, or empty.
    """

    crops: Tensor
    targets: HandTargets
    keys: list[str]
    box_sides: np.ndarray
    shards: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """(B,) for messages: key and shard."""
        if not self.shards:
            return self.keys
        return [f"{key} ({shard})" for key, shard in zip(self.keys, self.shards, strict=True)]

    def parts(self, count: int) -> list[HandBatch]:
        """The batch in `count` pieces of equal size, in order."""
        size = len(self.keys) // count
        slices = [slice(i * size, (i + 1) * size) for i in range(count)]
        return [
            HandBatch(
                self.crops[part],
                HandTargets(**{name: value[part] for name, value in vars(self.targets).items()}),
                self.keys[part],
                self.box_sides[part],
                self.shards[part],
            )
            for part in slices
        ]


def make_batch(
    samples: Sequence[EncodedSample | HandSample],
    network: NetworkConfig,
    augment: AugmentConfig | None = None,
    rng_keys: Sequence[tuple[int, ...]] = (),
    angles: Sequence[float] | None = None,
) -> HandBatch:
    """Decode, crop, augment and collate.

    Args:
        samples: B samples, encoded or not.
        network: crop size, box scale and visible share.
        augment: None for the plain views (validation).
        rng_keys: with `augment`, B seeds: each sample's randomness depends on its own alone.
        angles: without `augment`, B `CropView.angle`s of the plain views.

    Raises:
        HandError: a sample cannot be decoded; the message names it.
    """
    size = network.image_size
    crops = np.empty((len(samples), size, size, 3), np.uint8)
    labels: list[CropLabels] = []
    keys: list[str] = []
    box_sides = np.empty(len(samples), np.float32)
    for i, given in enumerate(samples):
        sample = given.decode() if isinstance(given, EncodedSample) else given
        keys.append(f"{sample.source}/{sample.key}")
        if augment is None:
            view = plain_view(sample, network.box_scale, network.visible)
            if angles is not None:
                view = replace(view, angle=float(angles[i]))
        else:
            rng = np.random.default_rng(rng_keys[i])
            view = random_view(
                sample, rng, augment, network.box_scale, network.visible, network.second_look
            )
        box_sides[i] = (sample.bbox_xyxy[2:] - sample.bbox_xyxy[:2]).max() / view.side
        crops[i] = take_crop(sample.image, view, size)
        if augment is not None:
            crops[i] = change_colours(crops[i], rng, augment)
            if network.side and rng.random() < augment.mirror_probability:
                crops[i] = crops[i][:, ::-1]
                labels.append(CropLabels.of_wrong_side())
                continue
        labels.append(view_labels(sample, view, network.frame))
    return HandBatch(torch.from_numpy(normalise(crops)), _collate(labels), keys, box_sides)


def _collate(labels: list[CropLabels]) -> HandTargets:
    def stack(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(label, name) for label in labels]))

    rotations = roma.rotvec_to_rotmat(stack("pose"))
    return HandTargets(
        keypoints_2d=stack("keypoints_2d"),
        joints_3d=stack("joints_3d"),
        joints_3d_weight=torch.tensor([float(label.joints_3d_weight) for label in labels]),
        global_orient=stack("turn") @ rotations[:, 0],
        hand_pose=rotations[:, 1:].contiguous(),
        betas=stack("betas"),
        has_parameters=torch.tensor([float(label.has_parameters) for label in labels]),
        shows_right=torch.tensor([float(label.shows_right) for label in labels]),
    )
