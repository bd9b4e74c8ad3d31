"""Where crop coordinates lie on a feature map."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["FeatureFrame"]


@dataclass(frozen=True)
class FeatureFrame:
    """Where crop units (-0.5 to 0.5) lie on a feature map, in `grid_sample` coordinates.

    ``grid = scale * point + shift`` with ``align_corners=False``. Deconvolutions of kernel 4,
    stride 2, padding 1 keep these coordinates, so one frame serves every level of the pyramid.
    """

    scale: tuple[float, float]
    shift: tuple[float, float]

    @classmethod
    def of_cells(
        cls, side: int, stride: int, map_size: tuple[int, int], first: tuple[float, float]
    ) -> FeatureFrame:
        """The frame of a map whose cells are `stride` pixels apart.

        Args:
            side: of the crop, px.
            stride: px.
            map_size: rows, columns of the map.
            first: (x, y) of the outer corner of the first cell's patch in the crop, px; its
                centre lies half a stride further on.
        """
        rows, columns = map_size
        return cls(
            scale=(2 * side / (stride * columns), 2 * side / (stride * rows)),
            shift=(
                2 * (side / 2 - first[0]) / (stride * columns) - 1,
                2 * (side / 2 - first[1]) / (stride * rows) - 1,
            ),
        )

    def grid(self, points: Tensor) -> Tensor:
        """(..., 2) crop units to (..., 2) grid coordinates."""
        scale = points.new_tensor(self.scale)
        return points * scale + points.new_tensor(self.shift)
