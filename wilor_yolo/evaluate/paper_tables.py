"""What the WiLoR paper prints, to set our numbers beside: Tables 3 and 4."""

from __future__ import annotations

from dataclasses import dataclass

from ..metrics.challenge import ChallengeScores

__all__ = ["TABLE_3", "TABLE_4", "PaperRow", "freihand_table", "ho3d_table", "variants"]


@dataclass(frozen=True)
class PaperRow:
    """One method; mm, and 0..1 for the rest. None where the paper has a dash."""

    method: str
    pa_mpjpe: float | None
    pa_mpvpe: float | None
    f5: float | None
    f15: float | None
    auc_joints: float | None = None
    auc_vertices: float | None = None


# Table 3: FreiHAND.
TABLE_3 = (
    PaperRow("I2L-MeshNet", 7.4, 7.6, 0.681, 0.973),
    PaperRow("Pose2Mesh", 7.7, 7.8, 0.674, 0.969),
    PaperRow("I2UV-HandNet", 6.7, 6.9, 0.707, 0.977),
    PaperRow("METRO", 6.5, 6.3, 0.731, 0.984),
    PaperRow("Tang et al.", 6.7, 6.7, 0.724, 0.981),
    PaperRow("Mesh Graphormer", 5.9, 6.0, 0.764, 0.986),
    PaperRow("MobRecon", 5.7, 5.8, 0.784, 0.986),
    PaperRow("AMVUR", 6.2, 6.1, 0.767, 0.987),
    PaperRow("HaMeR", 6.0, 5.7, 0.785, 0.990),
    PaperRow("WiLoR (paper)", 5.5, 5.1, 0.825, 0.993),
)
# Table 4: HO3D v2.
TABLE_4 = (
    PaperRow("Liu et al.", 9.9, 9.5, 0.528, 0.956, 0.803, 0.810),
    PaperRow("HandOccNet", 9.1, 8.8, 0.564, 0.963, 0.819, 0.819),
    PaperRow("I2UV-HandNet", 9.9, 10.1, 0.500, 0.943, 0.804, 0.799),
    PaperRow("Hampali et al.", 10.7, 10.6, 0.506, 0.942, 0.788, 0.790),
    PaperRow("Hasson et al.", 11.0, 11.2, 0.464, 0.939, 0.780, 0.777),
    PaperRow("ArtiBoost", 11.4, 10.9, 0.488, 0.944, 0.773, 0.782),
    PaperRow("Pose2Mesh", 12.5, 12.7, 0.441, 0.909, 0.754, 0.749),
    PaperRow("I2L-MeshNet", 11.2, 13.9, 0.409, 0.932, 0.775, 0.722),
    PaperRow("METRO", 10.4, 11.1, 0.484, 0.946, 0.792, 0.779),
    PaperRow("MobRecon", 9.2, 9.4, 0.538, 0.957),
    PaperRow("Keypoint Trans", 10.8, None, None, None, 0.786, None),
    PaperRow("AMVUR", 8.3, 8.2, 0.608, 0.965, 0.835, 0.836),
    PaperRow("HaMeR", 7.7, 7.9, 0.635, 0.980, 0.846, 0.841),
    PaperRow("WiLoR (paper)", 7.5, 7.7, 0.646, 0.983, 0.851, 0.846),
)

_MM = ("pa_mpjpe", "pa_mpvpe")
_HEADS = {
    "pa_mpjpe": "PA-MPJPE",
    "pa_mpvpe": "PA-MPVPE",
    "f5": "F@5",
    "f15": "F@15",
    "auc_joints": "AUC_J",
    "auc_vertices": "AUC_V",
}


def freihand_table(scores: ChallengeScores, name: str) -> str:
    """Table 3 with one more row, `name`."""
    return _table(TABLE_3, scores, name, ("pa_mpjpe", "pa_mpvpe", "f5", "f15"))


def ho3d_table(scores: ChallengeScores, name: str) -> str:
    """Table 4 with one more row, `name`."""
    columns = ("auc_joints", "pa_mpjpe", "auc_vertices", "pa_mpvpe", "f5", "f15")
    return _table(TABLE_4, scores, name, columns)


def variants(scores: ChallengeScores) -> str:
    """The numbers that are in no table of the paper, a line each."""
    s = scores
    rows = {
        "aligned, areas": f"AUC_J {s.auc_joints:.3f}   AUC_V {s.auc_vertices:.3f}",
        "scale-translation aligned": f"MPJPE {s.scaled_mpjpe:6.2f} mm   AUC_J {s.scaled_auc:.3f}",
        "root-relative": f"MPJPE {s.root_mpjpe:6.2f} mm   MPVPE {s.root_mpvpe:6.2f} mm",
        "in the camera, not aligned": f"MPJPE {s.mpjpe:6.2f} mm   MPVPE {s.mpvpe:6.2f} mm   "
        f"F@5 {s.raw_f5:.3f}   F@15 {s.raw_f15:.3f}",
    }
    return "\n".join(f"{title:28s} {line}" for title, line in rows.items())


def _table(
    rows: tuple[PaperRow, ...], scores: ChallengeScores, name: str, columns: tuple[str, ...]
) -> str:
    lines = [f"{'':28s}" + "".join(f"{_HEADS[c]:>10s}" for c in columns)]
    for row in (*rows, scores):
        title = row.method if isinstance(row, PaperRow) else f"{name} (n={scores.count})"
        cells = []
        for column in columns:
            value = getattr(row, column)
            digits = 2 if column in _MM else 3
            empty = value is None or value != value
            cells.append(f"{'-':>10s}" if empty else f"{value:10.{digits}f}")
        lines.append(f"{title[:28]:28s}" + "".join(cells))
    return "\n".join(lines)
