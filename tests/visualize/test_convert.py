from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import supervision as sv

from wilor_yolo.errors import HandError
from wilor_yolo.visualize.convert import to_detections, to_keypoints


def test_detections(hands):
    detections = to_detections(hands)
    np.testing.assert_array_equal(detections.xyxy, hands.bbox_xyxy)
    np.testing.assert_array_equal(detections.confidence, hands.confidence)
    np.testing.assert_array_equal(detections.class_id, [0, 1, 1])
    assert detections.tracker_id is None
    assert list(detections["class_name"]) == ["left", "right", "right"]
    np.testing.assert_array_equal(detections["vertices"], hands.vertices)
    np.testing.assert_array_equal(detections["K"][2], hands.K)


def test_arrays_follow_their_hand(hands):
    tracked = replace(hands, track_id=np.array([7, 8, 9]))
    kept = to_detections(tracked)[tracked.is_right]
    np.testing.assert_array_equal(kept.tracker_id, [8, 9])
    np.testing.assert_array_equal(kept["vertices"], hands.vertices[1:])
    both = sv.Detections.merge([kept, to_detections(tracked[0])])
    np.testing.assert_array_equal(both["joints"], hands.joints[[1, 2, 0]])
    assert list(both["class_name"]) == ["right", "right", "left"]


def test_every_array_of_a_hand_is_carried(hands):
    """Without `scale`, parameters of a known hand length would pose a hand of another size."""
    scaled = replace(hands, scale=np.array([0.9, 1.0, 1.1], np.float32))
    np.testing.assert_array_equal(to_detections(scaled)[1:]["scale"], scaled.scale[1:])
    in_detections = {"bbox_xyxy", "confidence", "is_right", "track_id", "faces"}
    arrays = {f.name for f in fields(scaled) if isinstance(getattr(scaled, f.name), np.ndarray)}
    assert set(to_detections(scaled).data) == arrays - in_detections | {"class_name"}


def test_detections_before_reconstruction_and_of_nobody(detected, nobody, hands):
    assert set(to_detections(detected).data) == {"class_name", "keypoints_2d_detector"}
    empty = to_detections(nobody)
    assert len(empty) == 0
    assert len(sv.Detections.merge([empty, to_detections(hands)])) == 3
    assert len(nobody.to_detections()) == 0


def test_keypoints_projected_or_detected(hands, detected):
    projected = to_keypoints(hands)
    np.testing.assert_array_equal(projected.xy, hands.keypoints_2d)
    assert projected.keypoint_confidence is None
    assert projected.visible.all()
    for points in (
        to_keypoints(hands, "detector"),
        to_keypoints(detected),
        detected.to_keypoints(),
    ):
        np.testing.assert_array_equal(points.xy, hands.keypoints_2d_detector[..., :2])
        np.testing.assert_array_equal(
            points.keypoint_confidence, hands.keypoints_2d_detector[..., 2]
        )
    np.testing.assert_array_equal(projected.class_id, [0, 1, 1])
    np.testing.assert_array_equal(projected.detection_confidence, hands.confidence)
    assert projected.xy.dtype == np.float32


def test_joints_behind_the_camera_are_not_visible(hands):
    joints = hands.joints.copy()
    joints[1, 4, 2] = -5
    visible = to_keypoints(replace(hands, joints=joints)).visible
    assert not visible[1, 4]
    assert visible.sum() == visible.size - 1


def test_keypoints_of_nobody(nobody):
    assert len(to_keypoints(nobody)) == 0
    assert len(to_keypoints(nobody, "projected")) == 0


def test_keypoints_that_are_not_there(hands, detected):
    with pytest.raises(HandError, match="no projected keypoints"):
        to_keypoints(detected, "projected")
    bare = replace(detected, keypoints_2d_detector=None)
    with pytest.raises(HandError, match="no keypoints"):
        to_keypoints(bare)
    with pytest.raises(HandError, match="source must be"):
        to_keypoints(hands, "mediapipe")


def test_stock_annotators_take_them(hands, picture):
    scene = sv.BoxAnnotator().annotate(picture.copy(), hands.to_detections())
    scene = sv.LabelAnnotator().annotate(scene, hands.to_detections())
    assert (scene != picture).any()
    dots = sv.VertexAnnotator().annotate(picture.copy(), hands.to_keypoints())
    assert (dots != picture).any()
