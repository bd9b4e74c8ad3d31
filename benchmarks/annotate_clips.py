"""The annotation engine on synthetic clips, whose truth is known: boxes, sides, fits.

wilor-yolo synth clips out=clips count=12
python benchmarks/annotate_clips.py --clips clips --model hand-n.pt
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
from annotate_agreement import measure

from wilor_yolo.annotate.candidates import FrameName
from wilor_yolo.annotate.ensemble import Ensemble
from wilor_yolo.annotate.fitted import FittedHands
from wilor_yolo.annotate.fitting import HandFitter
from wilor_yolo.annotate.fusion import fuse
from wilor_yolo.annotate.mediapipe_tflite import MediaPipeFinder
from wilor_yolo.annotate.yolo_finder import YoloFinder
from wilor_yolo.metrics.detection import UNKNOWN, box_iou
from wilor_yolo.metrics.procrustes import align_similarity
from wilor_yolo.synth.generate_clips import read_clip_truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", required=True)
    parser.add_argument("--mediapipe", help="wheel or folder; the cache by default")
    parser.add_argument("--model", nargs="*", default=[], help="Ultralytics hand models")
    parser.add_argument("--keep", type=float, default=0.4, help="lowest confidence counted")
    parser.add_argument("--every", type=int, default=5, help="look at each so-manieth frame")
    args = parser.parse_args()
    ensemble = Ensemble([MediaPipeFinder(args.mediapipe), *(YoloFinder(m) for m in args.model)])
    boxes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    sides: dict[str, Counter[str]] = defaultdict(Counter)
    found, truths, cameras, right, hints = [], [], [], [], []
    frames = 0
    for path in sorted(Path(args.clips).glob("[0-9]*.json")):
        truth = read_clip_truth(path)
        capture = cv2.VideoCapture(str(path.with_suffix(".mp4")))
        for i, frame in enumerate(truth["frames"]):
            good, image = capture.read()
            if not good or i % args.every:
                continue
            frames += 1
            hands = [h for h in frame["hands"] if np.mean(np.array(h["keypoints_2d"])[:, 2]) > 0.3]
            true = np.array([h["bbox_xyxy"] for h in hands]).reshape(-1, 4)
            seen = ensemble.find(image, FrameName(path.stem, i, str(path)), print)
            fused = fuse(seen)
            believed = [h for h in fused if max(h.votes.values()) >= args.keep]
            rows = {
                f"{n} alone": c.boxes[c.confidence >= args.keep]
                for n, c in seen.items()
                if c is not None
            }
            rows["fused, one sure voice enough"] = np.array([h.box for h in believed])
            said = {n: c.sides[c.confidence >= args.keep] for n, c in seen.items() if c is not None}
            voices = {f"{n} alone": np.asarray(s) for n, s in said.items()}
            voices["fused, one sure voice enough"] = np.array([h.side for h in believed], int)
            for name, given in rows.items():
                boxes[name].append((true, given.reshape(-1, 4)))
            for name, given in voices.items():
                for j, k in _pairs(true, rows[name].reshape(-1, 4)):
                    kind = "unknown" if given[k] == UNKNOWN else "wrong"
                    sides[name]["right" if given[k] == hands[j]["is_right"] else kind] += 1
            for j, k in _pairs(true, rows["fused, one sure voice enough"].reshape(-1, 4)):
                if believed[k].keypoints is None or believed[k].side == UNKNOWN:
                    continue
                found.append(believed[k].keypoints)
                guess = believed[k].joints_3d
                hints.append(np.full((21, 3), np.nan) if guess is None else guess)
                right.append(believed[k].side == 1)
                truths.append(hands[j]["keypoints_3d"])
                cameras.append(truth["K"])
    print(f"{frames} frames, {sum(len(true) for true, _ in next(iter(boxes.values())))} hands")
    print("| boxes | recall at IoU 0.5 | mean IoU of the found | precision | side right |")
    for name, pairs in boxes.items():
        known = sum(sides[name].values())
        numbers = [*measure(pairs), sides[name]["right"] / max(known, 1)]
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in numbers) + " |")
    arrays = (np.array(a) for a in (found, right, truths, cameras))
    found_np, right_np, truth_np, cameras_np = arrays
    for name, guess in (("2D only", None), ("with the 3D guess", np.array(hints))):
        print(name, end=": ")
        _fits(HandFitter()(found_np, right_np, cameras_np, guess), truth_np)


def _fits(fits: FittedHands, truth: np.ndarray) -> None:
    """Fits to what the detectors said, against the true joints; the camera is known."""
    good = fits.converged
    aligned = align_similarity(fits.joints[good], truth[good])
    error = np.linalg.norm(aligned - truth[good], axis=-1).mean(1) * 1000
    depth = np.abs((fits.joints + fits.cam_t[:, None])[good, 0, 2] / truth[good, 0, 2] - 1)
    print(
        f"{len(good)} fits, {(~good).sum()} rejected; of the others median residual "
        f"{np.median(fits.residual[good]):.1%} of the hand, PA joint error median "
        f"{np.median(error):.1f} mm, 90 % below {np.percentile(error, 90):.1f}, distance off by "
        f"{np.median(depth):.0%} in the median"
    )


def _pairs(true: np.ndarray, given: np.ndarray) -> list[tuple[int, int]]:
    """(true, given) of hands that overlap by half, best first."""
    iou, pairs = box_iou(true, given), []
    while iou.size and iou.max() >= 0.5:
        i, j = np.unravel_index(iou.argmax(), iou.shape)
        pairs.append((int(i), int(j)))
        iou[i], iou[:, j] = 0, 0
    return pairs


if __name__ == "__main__":
    main()
