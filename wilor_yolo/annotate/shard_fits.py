"""Give shards that know 2D landmarks and sides only a hand fitted to each sample."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import HandError
from ..kept_settings import keep_settings
from ..metrics.procrustes import align_similarity
from ..samples import SURE_3D, EncodedSample, HandSample
from ..shards import ShardWriter, ends_well, find_shards, read_shard, remove_abandoned
from ..whole_files import write_text
from .first_guess import axis_to_ray
from .fitted import ACCEPTED, FittedHands
from .fitting import HandFitter
from .outputs import FITTED_3D

if TYPE_CHECKING:
    from ..reconstruct.predictor import HandReconstructor

__all__ = ["FOCAL", "ShardFits", "fit_shards", "guessed_camera"]

# Focal length of a crop whose camera nobody knows, in longer sides of the crop. A context crop is
# about two hands wide, so that a hand comes out a bit more than half a metre away.
FOCAL = 2.0


@dataclass
class ShardFits:
    """What a run did: counts by outcome, and the residuals of the accepted fits in hand sizes."""

    counts: Counter[str] = field(default_factory=Counter)
    residuals: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{number} {what}" for what, number in sorted(self.counts.items())]
        if self.residuals:
            middle, high = np.percentile(self.residuals, (50, 90))
            parts.append(
                f"accepted: median residual {middle:.1%} of the hand, 90 % below {high:.1%}"
            )
        return ", ".join(parts) or "nothing to do"


def fit_shards(
    source: str | Path,
    out: str | Path,
    fitter: HandFitter,
    focal: float = FOCAL,
    confidence: float = FITTED_3D,
    reconstructor: HandReconstructor | None = None,
    report: Callable[[str], None] = print,
) -> ShardFits:
    """Copy shards, with parameters, camera and 3D joints added where a fit is accepted.

    Pictures and 2D labels stay as they are to the byte. So do samples that have parameters
    already, and those whose fit is rejected. 3D joints in a sample (measured, or an annotator's
    guess) are a hint to the fit, which tells the depth orders of a view apart; they stay where they
    are surer than the fit. A shard that is there is not made again; ``settings.json`` keeps what
    decides the fits, so that no others come beside them. Beside a shard ``<name>.fits.jsonl`` tells
    key, status, residual, angle violation and prior energy of each fit.

    Args:
        source: a shard, a folder of shards or a glob.
        out: another folder.
        fitter: of the hand model whose parameters are wanted.
        focal: of samples without K, in longer sides of the crop.
        confidence: ``keypoints_3d_confidence`` of a fit; one view does not tell the depth.
        reconstructor: what it sees is half of the hint where the 3D joints are guesses, and all
            of it for samples without.
        report: called with a line a shard.

    Raises:
        HandError: no shards there, a torn one, two of one name, `out` is where they lie, or holds
            fits with another focal length, confidence, projection, hand model, prior, limits or
            reconstructor.
    """
    shards = find_shards(source)
    if not shards:
        raise HandError(f"{source}: no shards; give a folder that holds .tar files.")
    out = Path(out)
    _check_shards(shards, out)
    settings = {"focal": focal, "confidence": confidence, **_models(fitter, reconstructor)}
    keep_settings(out / "settings.json", settings)
    result = ShardFits()
    for path in shards:
        if (out / path.name).exists():
            result.counts["shards done before"] += 1
            continue
        rows: list[dict[str, Any]] = []
        prefix, number = _name(path)
        remove_abandoned(out, path.name)
        with ShardWriter(out, prefix, _ENDLESS, number) as writer:
            samples = read_shard(path)
            while batch := list(islice(samples, fitter.batch)):
                for encoded in _fit_batch(
                    batch, fitter, focal, confidence, reconstructor, rows, result
                ):
                    writer.add(encoded)
            # The list first: a shard with its final name is a finished one.
            lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
            write_text(out / f"{path.stem}.fits.jsonl", lines)
        report(f"{path.name}: {result}")
    return result


def guessed_camera(sample: HandSample, focal: float = FOCAL) -> np.ndarray:
    """K (3, 3) for a crop cut from a picture nobody knows any more.

    The optical axis goes through the middle of the hand, so that the fitted orientation is the
    one a network sees in its crop, whose frame is turned to the hand.
    """
    height, width = sample.image.shape[:2]
    x, y = (sample.bbox_xyxy[:2] + sample.bbox_xyxy[2:]) / 2
    f = focal * max(width, height)
    return np.array([[f, 0, x], [0, f, y], [0, 0, 1]], np.float32)


_ENDLESS = 1 << 30  # samples in a shard: as many as there were


def _check_shards(shards: list[Path], out: Path) -> None:
    """Before hours of work, not after: shards are whole and have places of their own in `out`."""
    seen: dict[str, Path] = {}
    for path in shards:
        _name(path)
        if path.resolve() == (out / path.name).resolve():
            raise HandError(f"out={out} is where the shards lie; give another folder.")
        if path.name in seen:
            raise HandError(
                f"{path} and {seen[path.name]} have one name; fit each folder by itself, with an "
                "out= of its own."
            )
        seen[path.name] = path
        if not ends_well(path):  # its lost end would be lost in the copy for good
            raise HandError(f"{path} is torn; make this shard again.")


def _models(fitter: HandFitter, reconstructor: HandReconstructor | None) -> dict[str, str | None]:
    """What decides the fits: models by their contents, for their files may move or change."""
    prior, limits = fitter.prior, fitter.limits
    tensors = {
        "hand_model": fitter.layer.buffers(),
        "prior": (prior.mean, prior.basis, prior.poses),
        "limits": (limits.bones, limits.flexion, limits.abduction),
    }
    models: dict[str, str | None] = {
        name: _digest(tensor.cpu().contiguous().numpy() for tensor in part)
        for name, part in tensors.items()
    }
    models |= {"projection": fitter.settings.projection, "reconstructor": None}
    if reconstructor is not None:
        file = reconstructor.weights
        file = file.with_suffix(".bin") if file.suffix == ".xml" else file  # OpenVINO's numbers
        models["reconstructor"] = _digest([np.fromfile(file, np.uint8)])
    return models


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.data)
    return digest.hexdigest()[:12]


def _name(path: Path) -> tuple[str, int]:
    """Prefix and number for `ShardWriter` to give the name of `path` again."""
    prefix, _, digits = path.stem.rpartition("-")
    if not (prefix and digits.isdigit() and len(digits) == 6):
        raise HandError(f"{path}: shards are named <prefix>-000000.tar; rename it.")
    return prefix, int(digits)


def _fit_batch(
    batch: list[EncodedSample],
    fitter: HandFitter,
    focal: float,
    confidence: float,
    reconstructor: HandReconstructor | None,
    rows: list[dict[str, Any]],
    result: ShardFits,
) -> Iterator[EncodedSample]:
    samples: list[HandSample | None] = []
    for encoded in batch:
        try:
            samples.append(encoded.decode())
        except HandError:
            samples.append(None)
    wanted = [i for i, s in enumerate(samples) if s is not None and not s.has_parameters]
    fitted, cameras = FittedHands.none(), np.zeros((0, 3, 3), np.float32)
    if wanted:
        chosen = [s for s in samples if s is not None and not s.has_parameters]
        cameras = np.stack([guessed_camera(s, focal) if s.K is None else s.K for s in chosen])
        points = np.stack([s.keypoints_2d for s in chosen])
        hints = np.stack([_hint(s, k, reconstructor) for s, k in zip(chosen, cameras, strict=True)])
        fitted = fitter(points, np.array([s.is_right for s in chosen]), cameras, hints)
    place = {i: number for number, i in enumerate(wanted)}
    for i, (encoded, sample) in enumerate(zip(batch, samples, strict=True)):
        if sample is None:
            result.counts["samples damaged, left out"] += 1
            continue
        if i not in place:
            result.counts["samples that had parameters"] += 1
            yield encoded
            continue
        number = place[i]
        status = fitted.status[number]
        result.counts[f"fits {status}"] += 1
        rows.append({"key": encoded.key, "status": status, **_numbers(fitted, number)})
        if status != ACCEPTED:
            yield encoded
            continue
        result.residuals.append(float(fitted.residual[number]))
        better = _with_fit(sample, fitted, number, cameras[number], confidence)
        label = json.dumps(better.to_label(), separators=(",", ":")).encode()
        yield EncodedSample(encoded.key, encoded.jpeg, label)


def _hint(
    sample: HandSample, intrinsics: np.ndarray, reconstructor: HandReconstructor | None
) -> np.ndarray:
    """The 3D joints (21, 3) as seen along the ray through the landmarks; NaN without them."""
    joints = sample.keypoints_3d
    measured = joints is not None and sample.keypoints_3d_confidence > SURE_3D
    x0, y0, x1, y1 = sample.bbox_xyxy
    if reconstructor is not None and not measured and x0 < x1 and y0 < y1:
        seen = reconstructor.reconstruct_boxes(
            sample.image, sample.bbox_xyxy[None], np.array([sample.is_right]), intrinsics
        ).joints
        assert seen is not None  # one box, one hand
        if joints is None:
            joints = seen[0]
        else:
            joints = ((align_similarity(joints[None], seen) + seen) / 2)[0].astype(np.float32)
    known = sample.keypoints_2d[:, 2] > 0
    if joints is None or not known.any():
        return np.full((21, 3), np.nan, np.float32)
    if sample.K is None:  # the guessed camera looks at the hand
        return joints
    points = sample.keypoints_2d[known, :2]
    middle = (points.min(0) + points.max(0)) / 2
    turn = axis_to_ray(torch.from_numpy(middle), torch.from_numpy(sample.K)).numpy()
    return (joints - joints.mean(0)) @ turn


def _with_fit(
    sample: HandSample, fitted: FittedHands, i: int, intrinsics: np.ndarray, confidence: float
) -> HandSample:
    if sample.keypoints_3d is None or sample.keypoints_3d_confidence <= confidence:
        joints = fitted.joints[i] + fitted.cam_t[i]
        sample = replace(sample, keypoints_3d=joints, keypoints_3d_confidence=confidence)
    return replace(
        sample,
        K=intrinsics,
        global_orient=fitted.global_orient[i],
        hand_pose=fitted.hand_pose[i],
        betas=fitted.betas[i],
        cam_t=fitted.cam_t_right[i],
    )


def _numbers(fitted: FittedHands, i: int) -> dict[str, float | None]:
    values = {name: float(getattr(fitted, name)[i]) for name in _RECORDED}
    return {name: round(v, 7) if np.isfinite(v) else None for name, v in values.items()}


_RECORDED = ("residual", "angle_violation", "prior_energy")
