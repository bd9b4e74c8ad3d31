from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.evenly import evenly


@pytest.mark.parametrize(("total", "count"), [(1499, 1000), (7, 3), (100, 1), (10, 10), (1999, 2)])
def test_all_of_the_row_is_covered(total: int, count: int) -> None:
    positions = evenly(range(total), count)
    steps = np.diff([*positions, total])
    assert len(positions) == count and positions[0] == 0
    assert steps.max() - steps.min() <= 1


def test_short_rows() -> None:
    assert evenly(range(3), 8) == [0, 1, 2]
    assert evenly(range(0), 8) == evenly(range(8), 0) == []
