from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.render import shade
from wilor_yolo.render.rasterise import rasterise
from wilor_yolo.render.shade import draw_meshes, render_overlay

WIDTH, HEIGHT = 96, 80
K = np.array([[100.0, 0, 47.5], [0, 100, 39.5], [0, 0, 1]])
RED, BLUE = (220, 40, 40), (40, 40, 220)


@pytest.fixture
def grey():
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def covered(meshes, faces):
    """Pixels whose whole neighbourhood the meshes cover, and pixels far from them."""
    seen = rasterise(meshes, faces, K, (WIDTH, HEIGHT)).face_id >= 0
    around = np.pad(seen, 1, mode="edge")
    shifts = [
        around[1 + dy : 1 + dy + HEIGHT, 1 + dx : 1 + dx + WIDTH]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    return np.logical_and.reduce(shifts), ~np.logical_or.reduce(shifts)


def test_only_the_mesh_is_painted(ball, grey):
    vertices, faces = ball([0.05, 0, 0.5], 0.1)
    out = render_overlay(grey, [vertices], faces, K, [RED])
    inner, outer = covered(vertices, faces)
    assert (grey == 128).all()
    assert (out[outer] == 128).all()
    assert (out[inner] != 128).any(-1).all()
    blue, green, red = out[inner].mean(0)
    assert red > 2 * blue
    assert red > 2 * green


def test_outlines_are_soft(ball):
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    vertices, faces = ball([0, 0, 0.5], 0.1, rings=24, sectors=48)
    out = render_overlay(white, [vertices], faces, K, [(0, 0, 0)], close_holes=False)
    inner, outer = covered(vertices, faces)
    edge = out[~inner & ~outer].mean(-1)
    assert ((edge > 100) & (edge < 200)).mean() > 0.2
    # The painted area is that of the disc the ball projects to.
    share = (255 - out.astype(float)[..., 0]).sum() / (255 - out[inner].mean())
    radius = 100 * 0.1 / np.sqrt(0.5**2 - 0.1**2)
    assert share == pytest.approx(np.pi * radius**2, rel=0.02)


def test_the_nearer_mesh_is_in_front_whatever_the_order(ball, grey):
    near, faces = ball([0, 0, 0.4], 0.05)
    far, _ = ball([0.05, 0.0, 0.6], 0.12)
    out = render_overlay(grey, [near, far], faces, K, [RED, BLUE])
    turned = render_overlay(grey, [far, near], faces, K, [BLUE, RED])
    np.testing.assert_array_equal(out, turned)
    in_front, _ = covered(near, faces)
    assert (out[in_front][:, 2] > out[in_front][:, 0]).all()
    behind = covered(far, faces)[0] & covered(near, faces)[1]
    assert (out[behind][:, 0] > out[behind][:, 2]).all()


def test_nothing_shines_through_the_nearest_surface(ball, grey):
    near, faces = ball([0, 0, 0.4], 0.05)
    far, _ = ball([0, 0, 0.6], 0.05)
    alone = render_overlay(grey, [near], faces, K, [RED], alpha=0.5)
    both = render_overlay(grey, [near, far], faces, K, [RED, BLUE], alpha=0.5)
    inner, _ = covered(near, faces)
    np.testing.assert_array_equal(alone[inner], both[inner])


def test_opacity(ball, grey):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    clear = render_overlay(grey, [vertices], faces, K, [RED], alpha=0.0)
    np.testing.assert_array_equal(clear, grey)
    full, half = (
        render_overlay(grey, [vertices], faces, K, [RED], alpha=a).astype(float) for a in (1, 0.5)
    )
    np.testing.assert_allclose(half, (full + 128) / 2, atol=1.01)
    black = render_overlay(np.zeros_like(grey), [vertices], faces, K, [RED])
    inner, _ = covered(vertices, faces)
    np.testing.assert_array_equal(black[inner], full[inner].astype(np.uint8))


def test_a_mirrored_mesh_with_turned_faces_is_lit_from_outside(ball, grey):
    vertices, faces = ball([0.0, 0, 0.5], 0.1)
    vertices = vertices * [1.3, 1, 0.7] + [0, 0, 0.15]
    mirrored, turned = vertices * [-1, 1, 1], faces[:, [0, 2, 1]]
    from wilor_yolo.render.rasterise import join_meshes, visible_faces

    triangles = join_meshes(mirrored, turned)
    keys = visible_faces(triangles, K, (WIDTH, HEIGHT)).keys[0]
    seen = visible_faces(triangles, K, (WIDTH, HEIGHT)).triangle(keys[keys != 0])
    assert (triangles.facing[seen] > 0).all()
    options = {"close_holes": False}
    right = render_overlay(grey, [vertices], faces, K, [RED], **options)
    left = render_overlay(grey, [mirrored], turned, K, [RED], **options)
    inside_out = render_overlay(grey, [mirrored], faces, K, [RED], **options)
    inner, _ = covered(mirrored, faces)
    assert left[inner].mean() == pytest.approx(right[inner].mean(), rel=0.1)
    assert inside_out[inner].mean() < 0.75 * left[inner].mean()


def test_the_light_goes_with_the_line_of_sight(ball, grey):
    straight, faces = ball([0, 0, 0.5], 0.05)
    aside, _ = ball([0.18, 0.0, 0.5], 0.05)
    brightness = []
    for vertices in (straight, aside):
        inner, _ = covered(vertices, faces)
        assert inner.any()
        brightness.append(render_overlay(grey, [vertices], faces, K, [RED])[inner].mean())
    assert brightness[0] == pytest.approx(brightness[1], rel=0.05)


def test_closing_the_wrist(ball, grey):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    open_towards_us = faces[~(faces == len(vertices) - 1).any(1)]  # the last vertex is nearest
    inside = render_overlay(grey, [vertices], open_towards_us, K, [RED], close_holes=False)
    closed = render_overlay(grey, [vertices], open_towards_us, K, [RED])
    assert inside[40, 48].sum() < closed[40, 48].sum()


def test_across_the_border_as_in_a_larger_picture(ball):
    vertices, faces = ball([-0.24, 0.2, 0.5], 0.08)
    large = np.full((HEIGHT + 60, WIDTH + 60, 3), 128, np.uint8)
    moved = K.copy()
    moved[:2, 2] += 30
    draw_meshes(large, [vertices], faces, moved, [RED])
    small = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    draw_meshes(small, [vertices], faces, K, [RED])
    np.testing.assert_array_equal(small, large[30:-30, 30:-30])
    assert (small != 128).any()
    assert (large != 128).sum() > (small != 128).sum()


def test_outside_behind_and_no_mesh_leave_the_picture_alone(ball, grey):
    aside, faces = ball([3.0, 0, 0.5], 0.1)
    behind, _ = ball([0, 0, -0.5], 0.1)
    for meshes in ([aside, behind], []):
        out = render_overlay(grey, meshes, faces, K, [RED] * len(meshes))
        np.testing.assert_array_equal(out, grey)


def test_a_mesh_around_the_camera_fills_the_picture(ball, grey):
    vertices, faces = ball([0, 0, 0.0], 0.3)
    out = render_overlay(grey, [vertices], faces, K, [RED])
    assert (out != 128).any(-1).all()
    assert out[..., 2].max() < RED[0]  # its dark inside
    # The wall at the lower right is turned to the light from the upper left.
    assert out[-20:, -20:].mean() > 1.2 * out[:20, :20].mean()


def test_far_meshes_are_drawn_one_by_one(ball, grey):
    first, faces = ball([-0.15, 0, 0.5], 0.05)
    second, _ = ball([0.15, 0, 0.5], 0.05)
    assert len(shade._windows([first, second], K, grey.shape)) == 2
    together = render_overlay(grey, [first, second], faces, K, [RED, BLUE])
    one_by_one = render_overlay(grey, [first], faces, K, [RED])
    draw_meshes(one_by_one, [second], faces, K, [BLUE])
    np.testing.assert_array_equal(together, one_by_one)


def test_a_third_mesh_joins_two_windows(ball, grey):
    meshes = [ball([x, 0, 0.5], r)[0] for x, r in ((-0.15, 0.05), (0.15, 0.05), (0, 0.12))]
    windows = shade._windows(meshes, K, grey.shape)
    assert [members for _, members in windows] == [[0, 1, 2]]


def test_bands_of_large_pictures_fit_together(ball, grey, monkeypatch):
    vertices, faces = ball([0, 0, 0.5], 0.12)
    whole = render_overlay(grey, [vertices], faces, K, [RED])
    monkeypatch.setattr(shade, "_BAND_SAMPLES", 1000)
    np.testing.assert_array_equal(whole, render_overlay(grey, [vertices], faces, K, [RED]))


def test_views_are_drawn_into(ball, grey):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    expected = render_overlay(grey, [vertices], faces, K, [RED])
    larger = np.full((HEIGHT, 2 * WIDTH, 3), 128, np.uint8)
    for view in (larger[:, WIDTH:], larger[:, WIDTH - 1 :: -1]):
        draw_meshes(view, [vertices], faces, K, [RED])
        np.testing.assert_array_equal(view, expected)


def test_errors_are_plain(ball, grey):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    with pytest.raises(HandError, match="GRAY2BGR"):
        draw_meshes(grey[..., 0], [vertices], faces, K, [RED])
    with pytest.raises(HandError, match="uint8"):
        draw_meshes(grey.astype(np.float32), [vertices], faces, K, [RED])
    with pytest.raises(HandError, match="one each"):
        draw_meshes(grey, [vertices], faces, K, [RED, BLUE])
    with pytest.raises(HandError, match="between 0 and 1"):
        draw_meshes(grey, [vertices], faces, K, [RED], alpha=1.5)
