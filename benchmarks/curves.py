"""Training curves of several runs in a row as one picture, for the model card.

    python benchmarks/curves.py --out weights/curves.png \
        --detector runs/leg1 runs/leg2 --larger runs/s1 \
        --reconstructor runs/part1 runs/part2

Detector runs are folders with Ultralytics' results.csv, reconstructor runs folders with our val.csv
and log.csv; each run went on from the one before. Needs matplotlib, which Ultralytics brings.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

MAP = "metrics/mAP50-95(B)"
AP50 = "metrics/mAP50(B)"


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a csv file, by column."""
    with path.open(newline="") as file:
        return [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(file)]


def draw_detector(axes: Axes, runs: list[Path], larger: list[Path]) -> None:
    """Average precision on the validation pictures, sides apart, by epoch."""
    ends = _draw_precision(axes, runs, 0, "", "-")
    for end in ends:
        axes.axvline(end + 0.5, color="0.85", linewidth=1, zorder=0)
    axes.set_prop_cycle(None)  # the larger detector in the same colours
    if larger:
        _draw_precision(axes, larger, ends[-1], "hand-s, ", "--")
    axes.set(title="Detector, validation pictures", xlabel="epoch", ylim=(0, 1))
    axes.legend(loc="lower right")


def _draw_precision(axes: Axes, runs: list[Path], start: int, whose: str, line: str) -> list[int]:
    """Where each run ended, in epochs since the first one of all."""
    epochs, curves, ends = [], defaultdict(list), []
    for run in runs:
        for row in rows(run / "results.csv"):
            epochs.append(start + int(row["epoch"]))
            for name in (AP50, MAP):
                curves[name].append(float(row[name]))
        start = epochs[-1]
        ends.append(start)
    axes.plot(epochs, curves[AP50], line, marker=".", label=f"{whose}AP50, sides apart")
    axes.plot(epochs, curves[MAP], line, marker=".", label=f"{whose}mAP 0.5:0.95, sides apart")
    return ends


def draw_reconstructor(axes: Axes, runs: list[Path]) -> None:
    """Synthetic joint error and real 2D error on the validation samples, by step."""
    steps, joints, flat, start = [], [], [], 0
    for run in runs:
        by_step: dict[int, list[dict[str, str]]] = defaultdict(list)
        for row in rows(run / "val.csv"):
            by_step[int(row["step"])].append(row)
        for step, sources in sorted(by_step.items()):
            steps.append(start + step)
            joints.append(_mean(sources, "pa_mpjpe", 1.0))
            flat.append(_mean([s for s in sources if s["source"] != "synth"], "error_2d", 100.0))
        start = max(start + int(rows(run / "log.csv")[-1]["step"]), steps[-1])
        axes.axvline(start, color="0.85", linewidth=1, zorder=0)
    axes.plot(steps, joints, marker=".", label="PA-MPJPE, synthetic, mm")
    axes.plot(steps, flat, marker=".", label="2D error, real, % of the box")
    axes.set(title="Reconstructor, validation crops", xlabel="step")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left")


def _mean(sources: list[dict[str, str]], column: str, factor: float) -> float:
    known = [
        (float(s[column]) * factor, int(s["count"]))
        for s in sources
        if s[column] and math.isfinite(float(s[column]))
    ]
    return sum(v * n for v, n in known) / max(sum(n for _, n in known), 1)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--detector", nargs="+", type=Path, required=True)
    parser.add_argument(
        "--larger",
        nargs="+",
        type=Path,
        default=[],
        help="runs of hand-s, from the last --detector",
    )
    parser.add_argument("--reconstructor", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), dpi=90)
    draw_detector(left, options.detector, options.larger)
    draw_reconstructor(right, options.reconstructor)
    figure.tight_layout()
    figure.savefig(options.out)


if __name__ == "__main__":
    main()
