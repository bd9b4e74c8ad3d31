"""From a synthetic clip through the engine: what is fitted is what was rendered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.annotate.whim import read_frame
from wilor_yolo.cli.main import main
from wilor_yolo.metrics.procrustes import align_similarity
from wilor_yolo.synth.generate_clips import ClipSettings, generate_clips, read_clip_truth


@pytest.mark.slow
def test_a_clip_is_annotated_as_it_was_rendered(tmp_path: Path, capsys) -> None:
    settings = ClipSettings(seed=11, seconds=0.8, fps=10, width=320, height=240, rays=2)
    videos = generate_clips(tmp_path / "clips", 2, settings, report=lambda line: None)
    rows, truths = [], {}
    for video in videos:
        truth = truths[video.stem] = read_clip_truth(video.with_suffix(".json"))
        for i, frame in enumerate(truth["frames"]):
            hands = [
                {
                    "box": hand["bbox_xyxy"],
                    "confidence": 0.9,
                    "side": "right" if hand["is_right"] else "left",
                    # Found on hands cut by the border too, as landmark networks do.
                    "keypoints": [[x, y, 0.9] for x, y, _ in hand["keypoints_2d"]],
                }
                for hand in frame["hands"]
            ]
            rows.append({"file": video.name, "frame": i, "hands": hands})
    (tmp_path / "found.json").write_text(json.dumps({"detections": rows}))
    out = tmp_path / "out"
    words = [f"source={tmp_path / 'clips'}", f"out={out}", f"detectors={tmp_path / 'found.json'}"]
    words += ["rate=0", "near_copy_bits=-1", "test_share=0"]
    assert main(["annotate", *words]) == 0
    capsys.readouterr()

    errors, boxes, wanted = [], [], 0
    for name, truth in truths.items():
        for i, frame in enumerate(truth["frames"]):
            wanted += len(frame["hands"])
            path = out / "WHIM" / "train" / "anno" / name / f"{i:06d}.npy"
            for hand in read_frame(path) if path.exists() else []:
                true = min(frame["hands"], key=lambda h: np.abs(h["bbox_xyxy"] - hand.bbox).max())
                assert hand.is_right == true["is_right"]
                boxes.append(np.abs(np.array(true["bbox_xyxy"]) - hand.bbox).max())
                assert hand.joints_3d is not None
                joints = np.array(true["keypoints_3d"])[None]
                off = align_similarity(hand.joints_3d[None].astype(float), joints) - joints
                errors.append(np.linalg.norm(off, axis=-1).mean() * 1000)
    assert wanted >= 12 and len(errors) > 0.8 * wanted
    assert max(boxes) < 0.01 and np.median(errors) < 9  # mm, one view
