from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import supervision as sv
from PIL import Image
from supervision.annotators.base import BaseAnnotator

from wilor_yolo.errors import HandError
from wilor_yolo.hands import Hands
from wilor_yolo.render.rasterise import rasterise
from wilor_yolo.skeleton import FINGER_COLOURS, SIDE_COLOURS
from wilor_yolo.visualize.annotators import (
    SIDE_PALETTE,
    HandAnnotator,
    HandBoxAnnotator,
    HandSkeletonAnnotator,
    MeshAnnotator,
)

EVERY = [HandAnnotator, HandBoxAnnotator, HandSkeletonAnnotator, MeshAnnotator]


@pytest.mark.parametrize("annotator", EVERY)
def test_draws_in_place_and_returns_the_scene(annotator, hands, picture):
    before = picture.copy()
    assert isinstance(annotator(), BaseAnnotator)
    out = annotator().annotate(picture, hands)
    assert out is picture
    assert (picture != before).any()


@pytest.mark.parametrize("annotator", EVERY)
def test_nobody_in_the_picture(annotator, nobody, picture):
    before = picture.copy()
    assert annotator().annotate(picture, nobody) is picture
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("annotator", EVERY)
def test_any_view_of_a_picture(annotator, hands, picture):
    expected = annotator().annotate(picture.copy(), hands)
    height, width = picture.shape[:2]
    wide = np.full((height, 3 * width, 3), 128, np.uint8)
    planar = np.full((3, height, width), 128, np.uint8)
    for view in (wide[:, width : 2 * width], wide[:, ::3], wide[:, width - 1 :: -1]):
        wide[:] = 128
        assert annotator().annotate(view, hands) is view
        np.testing.assert_array_equal(view, expected)
    np.testing.assert_array_equal(annotator().annotate(planar.transpose(1, 2, 0), hands), expected)


@pytest.mark.parametrize("annotator", EVERY)
def test_pillow_pictures_are_rgb(annotator, hands, picture):
    image = Image.fromarray(picture)
    out = annotator().annotate(image, hands)
    assert isinstance(out, Image.Image)
    expected = annotator().annotate(picture.copy(), hands)
    np.testing.assert_array_equal(np.asarray(out)[..., ::-1], expected)


@pytest.mark.parametrize("annotator", EVERY)
def test_bad_pictures_are_refused(annotator, hands, picture):
    with pytest.raises(HandError, match="GRAY2BGR"):
        annotator().annotate(picture[..., 0].copy(), hands)
    with pytest.raises(HandError, match="uint8"):
        annotator().annotate(picture.astype(np.float32), hands)
    with pytest.raises(HandError, match="160x120"):
        annotator().annotate(np.zeros((240, 320, 3), np.uint8), hands)
    with pytest.raises(HandError, match="expected Hands, got Detections"):
        annotator().annotate(picture, hands.to_detections())


def test_hands_before_reconstruction(detected, picture):
    before = picture.copy()
    with pytest.raises(HandError, match="no mesh"):
        MeshAnnotator().annotate(picture, detected)
    np.testing.assert_array_equal(picture, before)
    for annotator in (HandAnnotator, HandBoxAnnotator, HandSkeletonAnnotator):
        assert (annotator().annotate(before.copy(), detected) != before).any()
    boxes_only = replace(detected, keypoints_2d_detector=None)
    np.testing.assert_array_equal(
        HandAnnotator().annotate(before.copy(), boxes_only),
        HandBoxAnnotator().annotate(before.copy(), boxes_only),
    )


def mesh_of_pixel(hands: Hands) -> np.ndarray:
    meshes = [hands.camera_vertices(i) for i in range(len(hands))]
    faces = [hands.faces_of(i) for i in range(len(hands))]
    return rasterise(meshes, faces, hands.K, hands.image_size).mesh_id


def test_meshes_have_the_colour_of_their_side(hands, picture):
    out = MeshAnnotator(opacity=1.0).annotate(picture, hands).astype(int)
    mesh = mesh_of_pixel(hands)
    left, right = out[mesh == 0].mean(0), out[mesh == 1].mean(0)
    assert left[0] > 1.3 * left[2]  # blue
    assert right[2] > 1.3 * right[0]  # orange
    assert SIDE_PALETTE.colors[0].as_rgb() == SIDE_COLOURS[0]


def test_mesh_colours_by_track_or_one_for_all(hands, picture):
    tracked = replace(hands, track_id=np.array([1, 0, 1]))
    by_track = MeshAnnotator(color_lookup=sv.ColorLookup.TRACK, opacity=1.0)
    out = by_track.annotate(picture.copy(), tracked).astype(int)
    mesh = mesh_of_pixel(hands)
    assert out[mesh == 0].mean(0)[2] > out[mesh == 0].mean(0)[0]
    assert out[mesh == 1].mean(0)[0] > out[mesh == 1].mean(0)[2]
    green = MeshAnnotator(color=sv.Color(0, 200, 0), opacity=1.0).annotate(picture.copy(), hands)
    assert (green[mesh >= 0].argmax(-1) == 1).mean() > 0.9


def test_hands_without_a_track_are_drawn_by_side(hands, picture):
    """As a tracker leaves them in frames in which it is sure of none."""
    untracked = replace(hands, track_id=None)
    for annotator in (HandAnnotator, HandBoxAnnotator, MeshAnnotator):
        by_track = annotator(color_lookup=sv.ColorLookup.TRACK)
        np.testing.assert_array_equal(
            by_track.annotate(picture.copy(), untracked),
            annotator().annotate(picture.copy(), untracked),
        )


def test_a_left_hand_is_lit_from_outside(hands, picture):
    # Two mirrored bowls that open away from us; wound wrongly, one would show its dark inside.
    alone = MeshAnnotator(sv.Color(200, 200, 200), 1.0, close_wrist=False)
    left = hands[0]
    centred = replace(left, cam_t=np.array([[0, 0, 0.4]], np.float32))
    as_right = replace(centred, vertices=left.vertices * [-1, 1, 1], is_right=np.array([True]))
    bright = [
        alone.annotate(picture.copy(), each)[mesh_of_pixel(each) >= 0].mean()
        for each in (centred, as_right)
    ]
    assert bright[0] == pytest.approx(bright[1], rel=0.05)
    wrong = replace(centred, is_right=np.array([True]))
    dark = alone.annotate(picture.copy(), wrong)[mesh_of_pixel(wrong) >= 0].mean()
    assert dark < 0.8 * bright[0]


def test_skeletons_have_the_colours_of_the_fingers(hands):
    size = (640, 480)
    big = np.zeros((480, 640, 3), np.uint8)
    joints = np.array(
        [[300.0, 470.0]] + [[100 + 100 * f, 400 - 80 * k] for f in range(5) for k in range(4)]
    )
    one = replace(hands[0], image_size=size, keypoints_2d=joints[None].astype(np.float32))
    out = HandSkeletonAnnotator().annotate(big, one)
    for finger, colour in enumerate(FINGER_COLOURS.values()):
        first = 4 * finger + 1
        middle_of_bone = joints[first : first + 2].mean(0)
        for x, y in [*joints[first : first + 4].astype(int), middle_of_bone.astype(int)]:
            assert tuple(out[y, x][::-1]) == colour


def test_unsure_and_impossible_keypoints_are_left_out(detected, picture):
    before = picture.copy()
    points = detected.keypoints_2d_detector.copy()
    points[..., 2] = 0.1
    unsure = replace(detected, keypoints_2d_detector=points)
    np.testing.assert_array_equal(HandSkeletonAnnotator().annotate(picture, unsure), before)
    sure = HandSkeletonAnnotator(min_confidence=0.05).annotate(picture.copy(), unsure)
    assert (sure != before).any()
    for value in (np.nan, np.inf, 1e12):
        points = np.full_like(points, value)
        points[..., 2] = 1
        broken = replace(detected, keypoints_2d_detector=points)
        np.testing.assert_array_equal(HandSkeletonAnnotator().annotate(picture, broken), before)


def test_keypoints_are_drawn_at_the_nearest_pixel(hands, picture):
    points = np.full((1, 21, 2), [30.6, 20.4], np.float32)
    blank = np.zeros_like(picture)
    one = replace(hands[0], keypoints_2d=points)
    rows, columns = np.nonzero(HandSkeletonAnnotator().annotate(blank, one).any(-1))
    assert (columns.mean(), rows.mean()) == (31, 20)


def test_the_nearer_skeleton_is_on_top(hands):
    size = (200, 200)
    line = np.linspace(60, 140, 21)
    flat = np.stack([line, np.full(21, 100)], -1)
    upright = flat[:, ::-1]
    for depths, on_top in (((0.5, 0.9), 0), ((0.9, 0.5), 1)):
        two = replace(
            hands[:2],
            image_size=size,
            keypoints_2d=np.stack([flat, upright]).astype(np.float32),
            cam_t=np.array([[0, 0, z] for z in depths], np.float32),
        )
        both = HandSkeletonAnnotator(thickness=3).annotate(np.zeros((200, 200, 3), np.uint8), two)
        top = HandSkeletonAnnotator(thickness=3).annotate(
            np.zeros((200, 200, 3), np.uint8), two[on_top]
        )
        drawn = top.any(-1)
        np.testing.assert_array_equal(both[drawn], top[drawn])


def test_lines_and_letters_grow_with_the_picture(hands):
    def ink(scale):
        size = (160 * scale, 120 * scale)
        bigger = replace(
            hands[0], bbox_xyxy=hands.bbox_xyxy[:1] * scale, image_size=size, vertices=None
        )
        blank = np.zeros((size[1], size[0], 3), np.uint8)
        return (HandBoxAnnotator(labels=False).annotate(blank, bigger) > 0).any(-1).sum()

    assert ink(12) > 2.5 * 12 / 4 * ink(4)  # not only longer lines, but thicker


def test_boxes_off_the_picture_and_labels(hands, picture):
    boxes = hands.bbox_xyxy.copy()
    boxes[0] = [-50, -80, 40, 30]
    boxes[1] = [-1e12, 0, 1e12, 50]
    moved = replace(hands, bbox_xyxy=boxes)
    plain = HandBoxAnnotator(labels=False).annotate(picture.copy(), moved)
    labelled = HandBoxAnnotator().annotate(picture.copy(), moved)
    assert (plain != labelled).any()


def test_annotator_parts_can_be_left_out(hands, picture):
    every = HandAnnotator().annotate(picture.copy(), hands)
    only_mesh = HandAnnotator(skeleton=False, boxes=False).annotate(picture.copy(), hands)
    np.testing.assert_array_equal(only_mesh, MeshAnnotator().annotate(picture.copy(), hands))
    assert (every != only_mesh).any()
    with pytest.raises(HandError, match="opacity"):
        HandAnnotator(opacity=2)
