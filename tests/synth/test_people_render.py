from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.synth.light import sample_lighting
from wilor_yolo.synth.meshes import box, sheet
from wilor_yolo.synth.people_render import Stage, render_view
from wilor_yolo.synth.pieces import NO_HAND, Material, compact, piece_from_mesh

K = np.array([[100.0, 0, 31.5], [0, 100.0, 31.5], [0, 0, 1]])
FLIP = np.diag([1.0, -1.0, -1.0])  # sheets look along +z; the camera wants them to look at it


def _light(key=(0.0, 0.0, 0.0)):
    light = sample_lighting(np.random.default_rng(0), ["studio"])
    return replace(
        light,
        key_direction=np.float32([0, 0, -1]),
        key_radiance=np.float32(key),
        key_size=0.001,
    )


def _render(pieces, key=(0.0, 0.0, 0.0)):
    background = np.full((64, 64, 3), 0.25, np.float32)
    return render_view(Stage.of(pieces), K, background, _light(key), np.random.default_rng(0))


def _square(width, z, colour, x=0.0):
    return piece_from_mesh(
        sheet(width, width, 4).moved(FLIP, np.array([x, 0, z])), colour, Material(noise=0.0)
    )


def test_geometry_depth_and_background():
    view = _render([_square(0.32, 1.0, [0.9, 0.1, 0.1])])
    inside = np.isfinite(view.depth)
    assert inside.sum() == pytest.approx(32 * 32, abs=40)
    np.testing.assert_allclose(view.depth[inside], 1.0, rtol=1e-5)
    np.testing.assert_allclose(view.image[0, 0], 0.25)
    middle = view.image[32, 32]
    assert middle[0] > 3 * middle[1]


def test_the_nearer_hand_wins_and_outlines_are_smooth():
    far = replace(_square(0.4, 1.2, [0.5] * 3), hand=np.zeros(32, int))
    near = replace(_square(0.1, 1.0, [0.5] * 3), hand=np.ones(32, int))
    view = _render([far, near])
    assert view.hand[32, 32] == 1 and view.hand[32, 20] == 0 and view.hand[0, 0] == NO_HAND
    bright = _render([_square(0.313, 1.0, [0.9] * 3)], key=(3.0, 3.0, 3.0)).image[32, :, 0]
    between = (bright > 0.3) & (bright < 0.8 * bright.max())
    assert 1 <= between.sum() <= 4


def test_the_key_light_casts_a_shadow():
    wall = _square(0.6, 2.0, [0.6] * 3)
    blocker = piece_from_mesh(
        box(np.array([0.1, 0.1, 0.1])).moved(np.eye(3), [0.1, 0, 1.5]), [0.6] * 3
    )
    light = replace(
        _light((3.0, 3.0, 3.0)), key_direction=np.float32(np.array([0.4, 0, -1]) / np.hypot(0.4, 1))
    )
    background = np.zeros((64, 64, 3), np.float32)
    rng = np.random.default_rng(0)
    free = render_view(Stage.of([wall]), K, background, light, rng).image
    shaded = render_view(Stage.of([wall, blocker]), K, background, light, rng).image
    # The blocker is in the middle right; its shadow falls to the left of it.
    ratio = shaded[32, 27].mean() / free[32, 27].mean()
    assert ratio < 0.6


def test_faces_behind_the_lens_are_dropped():
    view = _render([_square(0.3, -1.0, [0.5] * 3), _square(0.1, 1.0, [0.5] * 3)])
    assert np.isfinite(view.depth).sum() == pytest.approx(100, abs=25)


def test_stripes_show_both_colours():
    striped = replace(
        _square(0.5, 1.0, [0.9, 0.9, 0.9]),
        material=Material("stripes", (0.02, 0.02, 0.02), 0.1, (1.0, 0, 0), noise=0.0),
    )
    row = _render([striped], key=(1.0, 1.0, 1.0)).image[32, 10:54, 0]
    assert row.max() > 5 * row.min() and (np.abs(np.diff(row)) > 0.3 * row.max()).sum() >= 4


def test_compact_keeps_what_the_faces_use():
    piece = _square(0.5, 1.0, [0.5] * 3)
    part = compact(piece, np.array([0, 1]))
    assert len(part.faces) == 2 and len(part.vertices) <= 6
    np.testing.assert_allclose(part.vertices[part.faces], piece.vertices[piece.faces[:2]])
