"""What a reconstructor adds to the fits of `annotate shards`, against measured joints.

    python benchmarks/fit_hints.py data=pictures source=hand_graph_cnn

Pictures with `joints_3d_m` are cut into crops with the annotator's landmarks and its guess of the
depths, fitted with and without `reconstructor=` (the shipped one), and compared with the truth.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from key_words import key_words

from wilor_yolo.annotate.fitting import HandFitter
from wilor_yolo.annotate.shard_fits import fit_shards
from wilor_yolo.data.hand_crops import convert_hand_crops
from wilor_yolo.metrics.pose import pa_errors
from wilor_yolo.reconstruct.predictor import HandReconstructor
from wilor_yolo.records import read_records
from wilor_yolo.shards import iterate_samples


def only(data: Path, source: str, folder: Path) -> None:
    """A folder with the pictures of one source, by link."""
    lines = (data / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and json.loads(line)["source"] == source]
    folder.mkdir()
    for name in {Path(json.loads(line)["file"]).parts[0] for line in kept}:
        (folder / name).symlink_to((data / name).resolve())
    (folder / "labels.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")


def main() -> None:
    keys = key_words(__doc__)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        only(Path(keys["data"]), keys["source"], folder / "pictures")
        convert_hand_crops(folder / "pictures", folder / "crops")
        truth = {r.file.stem: r.joints_3d for r in read_records(folder / "pictures")}
        for name, reconstructor in (("without", None), ("with", HandReconstructor())):
            fits = fit_shards(
                folder / "crops", folder / name, HandFitter(), reconstructor=reconstructor
            )
            fitted = [s for s in iterate_samples(folder / name) if s.has_parameters]
            ours = np.stack([s.keypoints_3d for s in fitted])
            true = np.stack([truth[s.key.rpartition("_")[0]] for s in fitted])
            print(f"{name} a reconstructor: PA-MPJPE {pa_errors(ours, true).mean():.2f} mm; {fits}")


if __name__ == "__main__":
    main()
