from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.render.light import GRID, paint_table, towards_camera


def at(table, x, y):
    column, row = (round((v + 1) / 2 * (GRID - 1)) for v in (x, y))
    return table.reshape(GRID, GRID, 3)[row, column]


def test_light_comes_from_the_upper_left_and_keeps_the_hue():
    table = paint_table((200, 100, 50))
    assert at(table, -0.5, -0.5).sum() > at(table, 0, 0).sum() > at(table, 0.5, 0.7).sum()
    blue, green, red = at(table, 0, 0)
    assert red > green > blue  # the table is BGR


def test_colours_stay_in_range_for_black_and_white():
    for paint in ((0, 0, 0), (255, 255, 255)):
        table = paint_table(paint)
        assert np.isfinite(table).all()
        assert table.min() >= 0
        assert table.max() <= 255


def test_the_inside_is_darker():
    paint = (200, 100, 50)
    assert paint_table(paint, inside=True).mean() < 0.7 * paint_table(paint).mean()


def test_tables_are_shared_and_locked():
    table = paint_table((1, 2, 3))
    assert paint_table((1, 2, 3)) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("middle", [(0, 0, 1), (0.4, -0.3, 0.5), (-2, 1, 0.1), (0, 0, -1)])
def test_the_line_of_sight_is_turned_onto_the_axis(middle):
    rotation = towards_camera(np.array([middle], float))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(
        rotation @ np.array(middle) / np.linalg.norm(middle), [0, 0, 1], atol=1e-9
    )


def test_a_mesh_without_vertices_is_not_turned():
    np.testing.assert_array_equal(towards_camera(np.zeros((0, 3))), np.eye(3))
