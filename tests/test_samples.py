from __future__ import annotations

import json

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.samples import EncodedSample, HandSample


def make_sample(key="a_0", is_right=False, seed=0, full=True, size=(96, 128)):
    rng = np.random.default_rng(seed)
    height, width = size
    K = np.array([[150, 0, 60.0], [0, 155, 50], [0, 0, 1]], np.float32)
    joints = (rng.normal(0, 0.03, (21, 3)) + np.array([0.01, 0, 0.5])).astype(np.float32)
    homogeneous = joints @ K.T
    keypoints = np.ones((21, 3), np.float32)
    keypoints[:, :2] = homogeneous[:, :2] / homogeneous[:, 2:]
    smooth = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
    extra = (
        dict(
            keypoints_3d=joints,
            K=K,
            global_orient=rng.normal(0, 1, 3),
            hand_pose=rng.normal(0, 0.3, 45),
            betas=rng.normal(0, 1, 10),
            cam_t=np.array([0.0, 0.0, 0.5]),
        )
        if full
        else {}
    )
    return HandSample(
        image=smooth.astype(np.uint8),
        is_right=is_right,
        bbox_xyxy=np.concatenate([keypoints[:, :2].min(0), keypoints[:, :2].max(0)]),
        keypoints_2d=keypoints,
        source="test",
        key=key,
        **extra,
    )


@pytest.mark.parametrize("full", [True, False])
def test_encode_decode_round_trip(full):
    sample = make_sample(full=full)
    back = sample.encode().decode()
    assert (back.key, back.source, back.is_right) == ("a_0", "test", False)
    assert np.abs(back.image.astype(int) - sample.image).max() <= 4  # JPEG
    for name in ("bbox_xyxy", "keypoints_2d"):
        np.testing.assert_allclose(getattr(back, name), getattr(sample, name), atol=6e-4)
    for name in ("keypoints_3d", "global_orient", "hand_pose", "betas", "cam_t"):
        if full:
            np.testing.assert_allclose(getattr(back, name), getattr(sample, name), atol=1e-6)
        else:
            assert getattr(back, name) is None
    assert back.has_parameters is full


def test_mirror_law():
    sample = make_sample()
    mirror = sample.mirrored()
    assert mirror.is_right is True
    # The mirrored camera still projects the mirrored joints onto the mirrored keypoints.
    homogeneous = mirror.keypoints_3d @ mirror.K.T
    np.testing.assert_allclose(
        homogeneous[:, :2] / homogeneous[:, 2:], mirror.keypoints_2d[:, :2], atol=1e-3
    )
    assert mirror.bbox_xyxy[0] < mirror.bbox_xyxy[2]
    np.testing.assert_array_equal(mirror.image[:, 0], sample.image[:, -1])
    np.testing.assert_array_equal(mirror.hand_pose, sample.hand_pose)
    back = mirror.mirrored()
    for name in ("image", "bbox_xyxy", "keypoints_2d", "keypoints_3d", "K"):
        np.testing.assert_allclose(getattr(back, name), getattr(sample, name), atol=1e-4)
    assert back.is_right == sample.is_right


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(betas=None), "all of"),
        (dict(keypoints_2d=np.zeros((20, 3))), "keypoints_2d must be"),
        (dict(keypoints_2d=np.full((21, 3), 2.0)), "0..1"),
        (dict(bbox_xyxy=np.array([0, 0, np.nan, 1])), "NaN"),
        (dict(key="a.b"), "dots"),
        (dict(image=np.zeros((4, 4, 3), np.float32)), "uint8"),
        (dict(is_right="false"), "is_right"),
        (dict(keypoints_3d_confidence=float("nan")), "keypoints_3d_confidence holds NaN"),
        (dict(keypoints_3d_confidence=7), "keypoints_3d_confidence must lie in 0..1"),
        (dict(keypoints_3d_confidence="sure"), "keypoints_3d_confidence holds something else"),
    ],
)
def test_bad_samples_are_refused(change, words):
    sample = make_sample()
    values = {name: getattr(sample, name) for name in sample.__dataclass_fields__} | change
    with pytest.raises(HandError, match=words):
        HandSample(**values)


def test_damaged_and_unknown_labels_are_named():
    good = make_sample().encode()
    with pytest.raises(HandError, match=r"a_0.*JPEG"):
        EncodedSample("a_0", good.jpeg[:20], good.label).decode()
    with pytest.raises(HandError, match=r"a_0.*JSON"):
        EncodedSample("a_0", good.jpeg, good.label[:-5]).decode()
    label = json.loads(good.label) | {"betaz": [0]}
    with pytest.raises(HandError, match="betaz"):
        EncodedSample("a_0", good.jpeg, json.dumps(label).encode()).decode()
    label = json.loads(good.label)
    del label["bbox_xyxy"]
    with pytest.raises(HandError, match="bbox_xyxy"):
        EncodedSample("a_0", good.jpeg, json.dumps(label).encode()).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(bbox_xyxy=[1, 2, [3], 4]), "bbox_xyxy must be .* got ragged rows"),
        (dict(bbox_xyxy=[1, 2, "x", 4]), "bbox_xyxy holds something else than numbers"),
        (dict(bbox_xyxy={"x": 1}), "bbox_xyxy holds something else"),
        (dict(K=[[1, 2, 3]] * 2 + [[1, 2, None]]), "K holds something else"),
        (dict(is_right=1), "is_right must be true or false"),
    ],
)
def test_malformed_labels_are_named(change, words):
    good = make_sample().encode()
    label = json.dumps(json.loads(good.label) | change).encode()
    with pytest.raises(HandError, match=f"sample a_0: {words}"):
        EncodedSample("a_0", good.jpeg, label).decode()


def test_parameters_are_read_without_the_picture():
    sample = make_sample()
    pose, betas = EncodedSample("a_0", b"", sample.encode().label).read_parameters()
    np.testing.assert_allclose(pose, sample.hand_pose, atol=1e-6)
    np.testing.assert_allclose(betas, sample.betas, atol=1e-6)
    assert make_sample(full=False).encode().read_parameters() is None
    label = json.loads(sample.encode().label)
    for change, words in (
        (dict(hand_pose=[float("nan")] * 45), "NaN"),
        (dict(betas=[0.0] * 9), "betas must be"),
    ):
        with pytest.raises(HandError, match=f"a_0: .*{words}"):
            EncodedSample("a_0", b"", json.dumps(label | change).encode()).read_parameters()
