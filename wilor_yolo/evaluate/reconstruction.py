"""How well hands are rebuilt: on shards of `HandSample` and on annotated pictures with true joints.

The boxes and sides are given (the truth's, or those of the keypoints), so the numbers are of the
reconstructor alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import roma
import torch

from ..errors import HandError
from ..hands import Hands
from ..images import read_image
from ..mano.layer import HandLayer
from ..metrics.pose import auc, f_scores, pa_errors, relative_2d_errors, root_relative_errors
from ..metrics.procrustes import align_similarity
from ..records import AnnotatedHand, PictureRecord, read_records
from ..samples import SURE_3D, HandSample
from ..shards import iterate_samples
from ..skeleton import RIGHT

__all__ = [
    "FINGER_JOINTS",
    "BoxReconstructor",
    "ReconstructionReport",
    "SourceScores",
    "evaluate_pictures",
    "evaluate_shards",
    "floor_lines",
    "known_or_own",
    "sure_hands",
]

# All joints but the wrist and the four knuckles, whose centres every data set defines its own way.
FINGER_JOINTS = tuple(j for j in range(21) if j not in (0, 5, 9, 13, 17))

# What remains when the free hand is fitted to the *true* joints of a set directly: differences of
# joint definition. No result of ours can be expected below.
_KNOWN_FLOORS_MM = {"hand_graph_cnn": 5.4}

_SURE = 0.8  # the annotator's score from which its keypoints are a yardstick


class BoxReconstructor(Protocol):
    """What is evaluated; `HandReconstructor` is one."""

    def reconstruct_boxes(
        self,
        image: np.ndarray,
        bbox_xyxy: np.ndarray,
        is_right: np.ndarray,
        K: np.ndarray | None = None,
    ) -> Hands: ...

    def intrinsics_of_crops(self, width: int, height: int) -> np.ndarray: ...


def known_or_own(
    known: np.ndarray | None, reconstructor: BoxReconstructor, image: np.ndarray
) -> np.ndarray:
    """K (3, 3), px, of a picture; where its set has none, that under which joints project to where
    the network sees them in its crops, which is what is scored in 2D."""
    height, width = image.shape[:2]
    return reconstructor.intrinsics_of_crops(width, height) if known is None else known


@dataclass(frozen=True)
class SourceScores:
    """Scores of one source; NaN where it has no such truth.

    Attributes:
        hands: scored.
        pa_mpjpe: mm, 21 joints. pa_mpjpe_fingers: the same without wrist and knuckles.
        pa_mpvpe: mm, 778 vertices (samples with parameters).
        mpjpe: mm, relative to the wrist, not aligned.
        auc: of the aligned joint errors, 0 to 50 mm.
        f5, f15: of the aligned vertices.
        error_2d, median_2d: mean and median distance of the projected joints from the confident
            2D keypoints, share of the longer side of the hand box.
    """

    hands: int
    pa_mpjpe: float
    pa_mpjpe_fingers: float
    pa_mpvpe: float
    mpjpe: float
    auc: float
    f5: float
    f15: float
    error_2d: float
    median_2d: float


@dataclass(frozen=True)
class ReconstructionReport:
    """Scores by source; printing it gives a table."""

    sources: dict[str, SourceScores]

    def __str__(self) -> str:
        head = (
            f"{'source':16s}{'hands':>6s}{'PA-MPJPE':>10s}{'fingers':>9s}{'PA-MPVPE':>10s}"
            f"{'MPJPE':>8s}{'AUC':>7s}{'F@5':>7s}{'F@15':>7s}{'2D mean':>9s}{'median':>8s}"
        )
        lines = [head]
        for source, s in self.sources.items():
            lines.append(
                f"{source:16s}{s.hands:6d}{s.pa_mpjpe:10.2f}{s.pa_mpjpe_fingers:9.2f}"
                f"{s.pa_mpvpe:10.2f}{s.mpjpe:8.1f}{s.auc:7.3f}{s.f5:7.3f}{s.f15:7.3f}"
                f"{100 * s.error_2d:8.2f}%{100 * s.median_2d:7.2f}%"
            )
            lines += floor_lines(source)
        return "\n".join(lines)


def floor_lines(source: str) -> list[str]:
    """What a table says below a source whose joints no free hand can match; often nothing."""
    if source not in _KNOWN_FLOORS_MM:
        return []
    floor = _KNOWN_FLOORS_MM[source]
    return [f"{'':16s}  (the free hand fitted to the true joints of this set leaves {floor} mm)"]


@dataclass(frozen=True)
class _Scored:
    """One hand: prediction and truth, pictures' own frame, left hands not mirrored."""

    source: str
    joints: np.ndarray
    keypoints: np.ndarray
    vertices: np.ndarray
    true_joints: np.ndarray | None
    true_keypoints: np.ndarray  # (21, 3) px and confidence
    true_vertices: np.ndarray | None
    box_side: float


def evaluate_shards(
    reconstructor: BoxReconstructor,
    places: str | Path | Iterable[str | Path],
    hand: HandLayer | None = None,
    limit: int | None = None,
    sure_3d: float = SURE_3D,
) -> ReconstructionReport:
    """Score on shards.

    Args:
        reconstructor: see `BoxReconstructor`.
        places: shards, folders or patterns.
        hand: the layer that turns true parameters into true vertices; the free hand by default.
            Give the one that the reconstructor poses: vertices of two hands differ by millimetres.
        limit: score at most so many samples.
        sure_3d: 3D joints whose confidence is not above this are weak guesses: neither they nor
            parameters beside them are scored.

    Raises:
        HandError: no samples.
    """
    hand = hand or HandLayer.free()
    scored: list[_Scored] = []
    for sample in iterate_samples(places):
        if limit is not None and len(scored) >= limit:
            break
        camera = known_or_own(sample.K, reconstructor, sample.image)
        rebuilt = reconstructor.reconstruct_boxes(
            sample.image, sample.bbox_xyxy[None], np.array([sample.is_right]), camera
        )
        weak = sample.keypoints_3d is not None and sample.keypoints_3d_confidence <= sure_3d
        width, height = sample.bbox_xyxy[2:] - sample.bbox_xyxy[:2]
        scored.append(
            _Scored(
                source=sample.source,
                joints=_need(rebuilt.joints)[0],
                keypoints=_need(rebuilt.keypoints_2d)[0],
                vertices=_need(rebuilt.vertices)[0],
                true_joints=None if weak else sample.keypoints_3d,
                true_keypoints=sample.keypoints_2d,
                true_vertices=None if weak else _true_vertices(sample, hand),
                box_side=float(max(width, height)),
            )
        )
    return _report(scored)


def evaluate_pictures(
    reconstructor: BoxReconstructor,
    folder: str | Path,
    sources: Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReconstructionReport:
    """Score on a folder of annotated pictures (`labels.jsonl`).

    A picture with `joints_3d_m` (camera frame, metres), `K` and `side` is scored in 3D and in 2D
    against the projected truth, from a box around the projected joints. Every other picture is
    scored in 2D against the annotator network's sure hands (`mediapipe`), from boxes around their
    keypoints.

    Args:
        reconstructor: see `BoxReconstructor`.
        folder: holds `labels.jsonl` and the pictures.
        sources: only these.
        progress: called with the numbers of pictures done and to do.

    Raises:
        HandError: no labels, a bad line, or nothing to score. ImageError: an unreadable picture.
    """
    records = read_records(folder, sources)
    scored: list[_Scored] = []
    for number, record in enumerate(records, 1):
        scored += _score_picture(reconstructor, record)
        if progress:
            progress(number, len(records))
    return _report(scored)


def sure_hands(record: PictureRecord) -> list[AnnotatedHand]:
    """The hands of a picture that are a yardstick: measured, else what the annotator is sure of."""
    if record.true_hand is not None:
        return [record.true_hand]
    return [hand for hand in record.found or () if hand.score >= _SURE]


def _score_picture(reconstructor: BoxReconstructor, record: PictureRecord) -> list[_Scored]:
    truths = sure_hands(record)
    if not truths:
        return []
    boxes = np.stack([hand.box for hand in truths]).astype(np.float32)
    sides = np.array([hand.side == RIGHT for hand in truths])
    image = read_image(record.file)
    camera = known_or_own(record.intrinsics, reconstructor, image)
    hands = reconstructor.reconstruct_boxes(image, boxes, sides, camera)
    joints, vertices = _need(hands.joints), _need(hands.vertices)
    keypoints = _need(hands.keypoints_2d)
    return [
        _Scored(
            source=record.source,
            joints=joints[i],
            keypoints=keypoints[i],
            vertices=vertices[i],
            true_joints=record.joints_3d,
            true_keypoints=np.column_stack((hand.keypoints, np.ones(21))),
            true_vertices=None,
            box_side=float((boxes[i, 2:] - boxes[i, :2]).max()),
        )
        for i, hand in enumerate(truths)
    ]


def _true_vertices(sample: HandSample, hand: HandLayer) -> np.ndarray | None:
    if sample.global_orient is None or sample.hand_pose is None or sample.betas is None:
        return None
    pose = np.concatenate((sample.global_orient, sample.hand_pose)).reshape(1, 16, 3)
    device = hand.v_template.device
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose)).to(device)
    betas = torch.from_numpy(sample.betas)[None].to(device)
    with torch.inference_mode():
        mesh = hand(rotations[:, :1], rotations[:, 1:], betas)
    vertices = mesh.vertices[0].cpu().numpy()
    return vertices if sample.is_right else vertices * np.array([-1, 1, 1], np.float32)


def _report(scored: list[_Scored]) -> ReconstructionReport:
    if not scored:
        raise HandError("nothing to score: no hands with a truth were found.")
    sources = list(dict.fromkeys(hand.source for hand in scored))
    return ReconstructionReport(
        {source: _scores([h for h in scored if h.source == source]) for source in sources}
    )


def _scores(hands: list[_Scored]) -> SourceScores:
    nan = float("nan")
    flat = relative_2d_errors(
        np.stack([h.keypoints for h in hands]),
        np.stack([h.true_keypoints for h in hands]),
        np.array([h.box_side for h in hands]),
        0.5,
    )
    flat = flat[np.isfinite(flat)]
    pa = fingers = mpjpe = area = pa_vertices = f5 = f15 = nan
    deep = [(h.joints, h.true_joints) for h in hands if h.true_joints is not None]
    if deep:
        ours, truth = (np.stack(side) for side in zip(*deep, strict=True))
        errors = pa_errors(ours, truth)
        pa, area = float(errors.mean()), auc(errors)
        fingers = float(pa_errors(ours, truth, FINGER_JOINTS).mean())
        mpjpe = float(root_relative_errors(ours, truth).mean())
    meshes = [(h.vertices, h.true_vertices) for h in hands if h.true_vertices is not None]
    if meshes:
        ours, truth = (np.stack(side) for side in zip(*meshes, strict=True))
        pa_vertices = float(pa_errors(ours, truth).mean())
        f5, f15 = map(float, f_scores(align_similarity(ours, truth), truth).mean(axis=0))
    return SourceScores(
        hands=len(hands),
        pa_mpjpe=pa,
        pa_mpjpe_fingers=fingers,
        pa_mpvpe=pa_vertices,
        mpjpe=mpjpe,
        auc=area,
        f5=f5,
        f15=f15,
        error_2d=float(flat.mean()) if flat.size else nan,
        median_2d=float(np.median(flat)) if flat.size else nan,
    )


def _need(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise HandError("the reconstructor gave hands without 3D fields.")
    return value
