"""Crops: every point lands where the geometry says, to a fraction of a pixel, and texture that a
crop cannot show does not come back as a false pattern."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from wilor_yolo.crops import (
    IMAGE_MEAN,
    IMAGE_STD,
    CropGeometry,
    crop_geometry,
    crop_hands,
    normalise,
)
from wilor_yolo.errors import HandError

SIZE = 192


def _blobs(shape, points, sigma):
    """Soft dots at exact (sub-pixel) places on black, (H, W, 3) uint8."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for x, y in points:
        image += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((240 * np.clip(image, 0, 1)).round().astype(np.uint8)[..., None], 3, axis=2)


def _found(crop, near, reach):
    """Centre of gravity, crop px, of the dot near a place."""
    x, y = (round(float(c)) for c in near)
    left, top = max(x - reach, 0), max(y - reach, 0)
    window = crop[top : y + reach + 1, left : x + reach + 1, 0].astype(float)
    rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
    return np.array(
        [left + (window * columns).sum() / window.sum(), top + (window * rows).sum() / window.sum()]
    )


def _crop_pixels(geometry, points, size=SIZE):
    """Crop pixels of picture points: crop unit -0.5 is the outer edge of pixel 0."""
    return (geometry.to_crop(points) + 0.5) * size - 0.5


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "left"])
@pytest.mark.parametrize("side", [61.3, 120.0, 192.0, 250.7, 300.2, 431.9, 700.4])
def test_points_land_where_the_geometry_says(side, is_right):
    """Crops smaller and larger than the network's, whole and broken sizes, both sides."""
    ratio = side / SIZE
    center = np.array([403.3, 388.6])
    offsets = np.array([[-0.31, -0.22], [0.27, -0.34], [0.11, 0.29], [-0.36, 0.33]])
    points = center + offsets * side
    sigma = max(1.6, 2.0 * ratio)
    image = _blobs((800, 820), points, sigma)
    box = np.array([[*(center - side / 3), *(center + side / 3)]])
    geometry = crop_geometry(box, [is_right], box_scale=1.5)
    assert geometry.size[0] == pytest.approx(side, rel=1e-5)
    crop = crop_hands(image, geometry, SIZE)[0]
    wanted = _crop_pixels(geometry, points[None])[0]
    reach = int(np.ceil(5 * sigma / ratio))
    for place in wanted:
        assert np.abs(_found(crop, place, reach) - place).max() < 0.06


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "left"])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_points_land_right_at_the_borders_of_the_picture(corner, is_right):
    """A crop half outside: what is inside stays in place, the rest is black."""
    width, height, side = 500, 400, 260.0
    center = np.array(corner) * [width - 1, height - 1]
    inward = 1 - 2 * np.array(corner)
    point = center + inward * [60.4, 75.8]
    image = np.maximum(_blobs((height, width), [point], 3.0), 30)
    box = np.array([[*(center - side / 2), *(center + side / 2)]])
    geometry = crop_geometry(box, [is_right], box_scale=1.0)
    crop = crop_hands(image, geometry, SIZE)[0]
    place = _crop_pixels(geometry, point[None, None])[0, 0]
    bright = np.where(crop > 60, crop, 0)
    assert np.abs(_found(bright, place, 9) - place).max() < 0.06
    outside = _crop_pixels(geometry, (center - inward * [60, 60])[None, None])[0, 0]
    x, y = (round(float(c)) for c in outside)
    assert (crop[y - 5 : y + 6, x - 5 : x + 6] == 0).all()


@pytest.mark.parametrize("side", [96.0, 192.0, 500.0])
def test_a_left_crop_is_the_mirror_of_the_right_one(side):
    image = cv2.GaussianBlur(_noise((400, 420)), (0, 0), 2)
    box = np.array([[200 - side / 2, 190 - side / 2, 200 + side / 2, 190 + side / 2]])
    right = crop_hands(image, crop_geometry(box, [True], box_scale=1.0), SIZE)[0]
    left = crop_hands(image, crop_geometry(box, [False], box_scale=1.0), SIZE)[0]
    assert np.abs(right[:, ::-1].astype(int) - left).max() <= 1


def test_mirror_law_of_whole_pictures():
    """The mirrored picture with the mirrored box and the other side gives the same crop."""
    image = _noise((300, 333))
    flipped = np.ascontiguousarray(image[:, ::-1])
    for box in ([100.5, 80, 190.25, 200], [-30, 40, 280.5, 330], [250, 10, 340, 90]):
        box = np.array([box])
        mirrored_box = box.copy()
        mirrored_box[:, [0, 2]] = 333 - 1 - box[:, [2, 0]]
        for is_right in (True, False):
            one = crop_hands(image, crop_geometry(box, [is_right]), 96)[0]
            other = crop_hands(flipped, crop_geometry(mirrored_box, [not is_right]), 96)[0]
            assert np.array_equal(one, other)


def test_to_image_and_to_crop_undo_each_other():
    rng = np.random.default_rng(0)
    geometry = CropGeometry(
        rng.uniform(0, 900, (6, 2)), rng.uniform(20, 800, 6), np.array([1, 0, 1, 0, 0, 1], bool)
    )
    points = rng.uniform(-100, 1000, (6, 21, 2))
    assert np.allclose(geometry.to_image(geometry.to_crop(points)), points)
    units = rng.uniform(-0.5, 0.5, (6, 21, 2))
    assert np.allclose(geometry.to_crop(geometry.to_image(units)), units)
    # A left hand's crop is mirrored: picture right is crop left.
    right_of = geometry.center[:, None] + [[10.0, 0.0]]
    assert ((geometry.to_crop(right_of)[:, 0, 0] > 0) == geometry.is_right).all()


def test_squares_hold_their_boxes():
    boxes = np.array([[10, 10, 50, 30], [0, 0, 10, 100], [5, 5, 5, 5]], np.float32)
    geometry = crop_geometry(boxes, [True, False, True], box_scale=1.5)
    assert np.allclose(geometry.size[:2], [60, 150]) and geometry.size[2] > 0
    assert np.allclose(geometry.center[:2], [[30, 20], [5, 50]])
    # A network that sees three quarters of the width gets wide boxes in larger squares.
    narrow = crop_geometry(boxes, [True, False, True], box_scale=1.5, aspect=0.75)
    assert np.allclose(narrow.size[:2], [80, 150])


def _noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape, 3), np.uint8)


def _left_over(ratio, period):
    """Contrast that stripes of `period` px keep in a crop that shrinks the picture by `ratio`."""
    columns = np.arange(1300)
    stripes = 127.5 + 100 * np.cos(2 * np.pi * columns / period)
    image = np.repeat(np.broadcast_to(stripes, (1300, 1300))[..., None], 3, axis=2)
    half = SIZE * ratio / 2
    box = np.array([[650.3 - half, 650.3 - half, 650.3 + half, 650.3 + half]])
    geometry = crop_geometry(box, [True], box_scale=1.0)
    crop = crop_hands(image.round().astype(np.uint8), geometry, SIZE)[0]
    return crop[50:100, 10:-10, 0].astype(float).std() / (100 / np.sqrt(2))


@pytest.mark.parametrize("ratio", [1.5, 1.75, 2.0, 2.6, 3.3, 4.0, 5.7])
def test_texture_too_fine_for_the_crop_fades(ratio):
    assert _left_over(ratio, 2) < 0.3  # plain bilinear reading keeps 0.8 of it as a false pattern
    assert _left_over(ratio, 2.6) < 0.55


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.75, 2.6, 4.0, 5.7])
def test_texture_the_crop_can_show_stays(ratio):
    assert _left_over(ratio, 6 * ratio) > 0.75


def test_flat_colours_stay_what_they_are():
    image = np.full((700, 700, 3), (10, 120, 250), np.uint8)
    boxes = np.array([[300, 300, 340, 340], [150, 150, 500, 500], [300, 320, 420, 420]])
    crops = crop_hands(image, crop_geometry(boxes, [True, False, True]), 64)
    assert (crops == image[0, 0]).all()


@pytest.mark.parametrize(
    "box", [[-500, -500, -300, -300], [900, 900, 1000, 1000], [-4000, 10, -3000, 20]]
)
def test_boxes_outside_the_picture_are_black(box):
    image = np.full((300, 400, 3), 200, np.uint8)
    assert (crop_hands(image, crop_geometry(np.array([box]), [True]), 64) == 0).all()


@pytest.mark.parametrize("reach", [1e4, 1e6, 1e8])
def test_absurdly_large_boxes_cost_little(reach):
    image = np.full((300, 400, 3), 200, np.uint8)
    geometry = crop_geometry(np.array([[-reach, -reach, reach, reach]]), [True])
    start = time.process_time()
    crop = crop_hands(image, geometry, 64)[0]
    assert time.process_time() - start < 0.5
    assert crop.astype(bool).mean() < 0.01


def test_no_hands_no_crops():
    image = np.zeros((20, 30, 3), np.uint8)
    crops = crop_hands(image, crop_geometry(np.zeros((0, 4)), np.zeros(0, bool)), 64)
    assert crops.shape == (0, 64, 64, 3) and normalise(crops).shape == (0, 3, 64, 64)


def test_broken_boxes_and_pictures_are_refused():
    with pytest.raises(HandError, match="finite"):
        crop_geometry(np.array([[0, 0, np.nan, 5]]), [True])
    with pytest.raises(HandError, match="2 boxes need 2 sides"):
        crop_geometry(np.zeros((2, 4)), [True])
    geometry = crop_geometry(np.array([[0, 0, 5, 5]]), [True])
    for picture in (
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ):
        with pytest.raises(HandError, match="BGR picture"):
            crop_hands(picture, geometry, 64)


def test_views_of_other_arrays_are_cropped_the_same():
    image = cv2.GaussianBlur(_noise((300, 300)), (0, 0), 1.5)
    geometry = crop_geometry(np.array([[60, 60, 200, 200]]), [False])
    plain = crop_hands(image, geometry, 64)
    turned = np.ascontiguousarray(image[:, ::-1])[:, ::-1]  # negative strides
    assert np.array_equal(crop_hands(turned, geometry, 64), plain)
    locked = image.copy()
    locked.setflags(write=False)
    assert np.array_equal(crop_hands(locked, geometry, 64), plain)


def test_normalise_is_imagenet_rgb():
    crops = _noise((2, 5, 5), seed=3).reshape(2, 5, 5, 3)
    tensor = normalise(crops)
    assert tensor.shape == (2, 3, 5, 5) and tensor.dtype == np.float32 and tensor.flags.c_contiguous
    for channel in range(3):
        wanted = (crops[..., 2 - channel] / 255 - IMAGE_MEAN[channel]) / IMAGE_STD[channel]
        assert np.allclose(tensor[:, channel], wanted, atol=1e-5)


def _seconds(image, box):
    geometry = crop_geometry(np.array([box]), [True])
    best = np.inf
    for _ in range(7):
        start = time.process_time()
        crop_hands(image, geometry, SIZE)
        best = min(best, time.process_time() - start)
    return best


def test_a_hand_in_a_12_megapixel_picture_costs_no_more_than_in_a_small_one():
    large, small = _noise((3000, 4000)), _noise((480, 640))
    box = [200, 150, 350, 300]
    in_small = _seconds(small, box)
    in_large = _seconds(large, np.add(box, 1000))
    assert in_large < 3 * in_small + 2e-3
    # A hand that fills the picture costs one pass over it.
    assert _seconds(large, [0, 0, 3000, 3000]) < 0.25
