"""The released preprocessing and camera, against numbers the released code computed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.crops import crop_hands, normalise
from wilor_yolo.errors import HandError
from wilor_yolo.geometry import crop_to_full_translation, full_to_crop_cam, released_intrinsics
from wilor_yolo.released_crops import released_crop_geometry, released_crops

EXPECTED = np.load(Path(__file__).parent / "fixtures" / "released" / "crops.npz")


@pytest.fixture(scope="module")
def bus():
    package = importlib.util.find_spec("ultralytics")  # found, not imported
    image = cv2.imread(str(Path(package.origin).parent / "assets" / "bus.jpg"))
    assert image.shape == (1080, 810, 3)
    return image


@pytest.fixture(scope="module")
def geometry():
    scale = float(EXPECTED["rescale_factor"])
    return released_crop_geometry(EXPECTED["boxes"], EXPECTED["right"] > 0.5, scale)


def test_squares_are_the_released_ones(geometry):
    assert np.allclose(geometry.center, EXPECTED["box_center"], atol=1e-4)
    assert np.allclose(geometry.size, EXPECTED["box_size"], rtol=1e-6)


def test_crops_are_the_released_ones(bus, geometry):
    crops = released_crops(bus, geometry)
    assert crops.dtype == np.float32 and crops.shape == EXPECTED["crops"].shape
    for ours, theirs in zip(crops, EXPECTED["crops"], strict=True):
        assert (np.abs(ours - theirs) < 1e-3).mean() >= 0.999


def test_the_default_crop_is_another_one(bus, geometry):
    """The comparison above tells preprocessings apart."""
    fast = normalise(crop_hands(bus, geometry, 256))
    for ours, theirs in zip(fast, EXPECTED["crops"], strict=True):
        assert (np.abs(ours - theirs) < 1e-3).mean() < 0.9


def test_left_hands_are_mirrored(bus, geometry):
    assert not geometry.is_right.all() and geometry.is_right.any()
    # Against the unmirrored crop of the mirrored picture, an independent path.
    mirrored = np.ascontiguousarray(bus[:, ::-1])
    boxes = EXPECTED["boxes"].copy()
    boxes[:, [0, 2]] = bus.shape[1] - 1 - boxes[:, [2, 0]]
    left = np.zeros(len(boxes), bool)
    ours = released_crops(bus, released_crop_geometry(EXPECTED["boxes"], left))
    theirs = released_crops(mirrored, released_crop_geometry(boxes, ~left))
    assert np.abs(ours - theirs).max() < 1e-4


def test_translations_are_the_released_ones(geometry):
    width, height = EXPECTED["img_size_wh"][0]
    intrinsics = released_intrinsics(int(width), int(height))
    assert intrinsics[0, 0] == pytest.approx(float(EXPECTED["scaled_focal"]))
    cam = EXPECTED["pred_cam"].copy()
    cam[~geometry.is_right, 1] *= -1
    ours = crop_to_full_translation(cam, geometry.center, geometry.size, intrinsics)
    theirs = EXPECTED["pred_cam_t_full"]
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-6
    back = full_to_crop_cam(ours, geometry.center, geometry.size, intrinsics)
    assert np.allclose(back, cam, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [600, 1500])
def test_blurring_only_where_the_crop_lies_changes_nothing(bus, side):
    """A blurred crop near a corner equals the crop of the wholly blurred picture."""
    box = np.array([[-80, 900, -80 + side / 2, 900 + side / 2]], np.float32)
    geometry = released_crop_geometry(box, [True])
    part = released_crops(bus, geometry)
    sigma = (geometry.size[0] / 512 - 1) / 2
    assert sigma > 0.05  # such crops are blurred
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(bus.astype(float), ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    columns = sum(k * padded[:, i : i + bus.shape[1]] for i, k in enumerate(kernel))
    blurred = sum(k * columns[i : i + bus.shape[0]] for i, k in enumerate(kernel))
    half = geometry.size[0] / 2
    x, y = geometry.center[0]
    here = np.array([[x, y], [x, y + half], [x + half, y]], np.float32)
    there = np.array([[128, 128], [128, 256], [256, 128]], np.float32)
    patch = cv2.warpAffine(blurred, cv2.getAffineTransform(here, there), (256, 256))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    whole = ((patch[..., ::-1] / 255 - mean) / std).transpose(2, 0, 1)
    assert np.abs(part[0] - whole).max() < 1e-4


def test_boxes_outside_the_picture_are_black(bus):
    for box in ([5000, 5000, 5100, 5100], [5000, 5000, 8000, 8000]):
        crop = released_crops(bus, released_crop_geometry(np.array([box]), [False]))[0]
        black = -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        assert np.allclose(crop, black[:, None, None], atol=1e-5)


def test_grey_pictures_are_refused(geometry):
    with pytest.raises(HandError, match="uint8"):
        released_crops(np.zeros((10, 10), np.uint8), geometry)
