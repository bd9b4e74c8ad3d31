from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from wilor_yolo.errors import HandError, ImageError
from wilor_yolo.hands import Hands
from wilor_yolo.pipeline import HandPipeline, SideVote
from wilor_yolo.skeleton import LEFT, RIGHT

LEFT_BOX = ("left", 20, 30, 80, 110)
RIGHT_BOX = ("right", 200, 60, 290, 160)


@pytest.fixture
def pipeline(blobs: Any, tiny_reconstructor: Path) -> HandPipeline:
    return HandPipeline(None, tiny_reconstructor)


def test_boxes_and_sides_reach_the_hands(pipeline: HandPipeline, painter: Any) -> None:
    hands = pipeline(painter([LEFT_BOX, RIGHT_BOX]))
    order = np.argsort(hands.bbox_xyxy[:, 0])
    np.testing.assert_array_equal(hands.bbox_xyxy[order], [[20, 30, 80, 110], [200, 60, 290, 160]])
    assert hands.is_right[order].tolist() == [False, True]
    assert hands.reconstructed and hands.image_size == (320, 240)
    assert hands.source is None
    # Each hand lies in front of the camera and roughly where its box is.
    assert (hands.cam_t[:, 2] > 0).all()
    centres = (hands.bbox_xyxy[:, :2] + hands.bbox_xyxy[:, 2:]) / 2
    assert np.abs(hands.keypoints_2d.mean(axis=1) - centres).max() < 100


def test_a_list_gives_what_single_calls_give(
    pipeline: HandPipeline, painter: Any, tmp_path: Path
) -> None:
    pictures = [
        painter([LEFT_BOX]),
        painter([], (100, 50)),
        painter([LEFT_BOX, RIGHT_BOX]),
        painter([("right", 5, 5, 60, 70)], (90, 120)),
    ]
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pictures[2])
    together = pipeline([*pictures, path])
    assert [len(hands) for hands in together] == [1, 0, 2, 1, 2]
    assert together[4].source == str(path)
    for hands, picture in zip(together, [*pictures, pictures[2]], strict=True):
        alone = pipeline(picture)
        assert isinstance(alone, Hands)
        np.testing.assert_array_equal(hands.bbox_xyxy, alone.bbox_xyxy)
        if len(alone):
            np.testing.assert_allclose(hands.vertices, alone.vertices, atol=1e-5)
            np.testing.assert_allclose(hands.cam_t, alone.cam_t, rtol=1e-4)
            np.testing.assert_array_equal(hands.K, alone.K)


def test_one_reconstruction_call_for_a_list(
    pipeline: HandPipeline, painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = pipeline.reconstructor.network.forward
    monkeypatch.setattr(
        pipeline.reconstructor.network,
        "forward",
        lambda crops: calls.append(len(crops)) or forward(crops),
    )
    pipeline([painter([LEFT_BOX, RIGHT_BOX]), painter([LEFT_BOX]), painter([LEFT_BOX], (400, 300))])
    assert calls == [4]


def test_pictures_of_different_sizes_are_not_padded_together(
    pipeline: HandPipeline, painter: Any, blobs: Any
) -> None:
    pipeline([painter([]), painter([], (100, 50)), painter([])])
    assert sorted(shapes for shapes, _ in blobs[0].seen) == [
        [(50, 100, 3)],
        [(240, 320, 3), (240, 320, 3)],
    ]


def test_settings_reach_the_detector(blobs: Any, painter: Any, tiny_reconstructor: Path) -> None:
    HandPipeline(None, tiny_reconstructor, conf=0.42, imgsz=256, iou=0.6)(painter([]))
    settings = blobs[0].seen[0][1]
    assert (settings["conf"], settings["imgsz"], settings["iou"]) == (0.42, 256, 0.6)
    numpys = {"conf": np.float32(0.5), "iou": np.float32(0.5), "imgsz": np.int64(320)}
    HandPipeline(None, tiny_reconstructor, **numpys)(painter([]))
    settings = blobs[1].seen[0][1]
    assert {name: type(settings[name]) for name in numpys} == {
        "conf": float,
        "iou": float,
        "imgsz": int,
    }


@pytest.mark.parametrize("K", ["x", [[1, 2], [3]], [["a"]]])
def test_a_camera_of_no_numbers_is_named(pipeline: HandPipeline, painter: Any, K: Any) -> None:
    for pictures in (painter([LEFT_BOX]), [painter([LEFT_BOX])]):
        with pytest.raises(HandError, match="K "):
            pipeline(pictures, K)


def test_less_than_no_frames(pipeline: HandPipeline, painter: Any) -> None:
    with pytest.raises(HandError, match="max_frames=-1 should be"):
        next(pipeline.stream([painter([])], track=False, max_frames=-1))


def test_a_video_is_no_picture(pipeline: HandPipeline) -> None:
    with pytest.raises(HandError, match=r"clip\.MP4 is a video; .*\.stream"):
        pipeline("clip.MP4")


def test_pictures_are_looked_at_in_the_size_the_detector_was_trained_at(
    blobs: Any, painter: Any, tiny_reconstructor: Path
) -> None:
    pipeline = HandPipeline(None, tiny_reconstructor)
    pipeline.detector.image_size = 352
    HandPipeline(pipeline.detector, tiny_reconstructor)(painter([]))
    assert blobs[0].seen[0][1]["imgsz"] == 352


def test_camera_default_given_and_one_a_picture(pipeline: HandPipeline, painter: Any) -> None:
    picture = painter([RIGHT_BOX])
    default = pipeline(picture)
    assert default.K[0, 0] == 320 and default.K[0, 2] == (320 - 1) / 2
    K = np.array([[640, 0, 150], [0, 640, 130], [0, 0, 1]], np.float32)
    given = pipeline(picture, K)
    np.testing.assert_array_equal(given.K, K)
    # Twice the focal length puts the hand twice as far away (a little less off the axis).
    np.testing.assert_allclose(given.cam_t[:, 2], 2 * default.cam_t[:, 2], rtol=0.08)
    both = pipeline([picture, picture, picture], [K, default.K, K])
    assert [hands.K[0, 0] for hands in both] == [640, 320, 640]
    np.testing.assert_allclose(both[1].cam_t, default.cam_t, rtol=1e-5)
    mixed = pipeline([picture, picture, picture], [K, None, K])
    assert [hands.K[0, 0] for hands in mixed] == [640, 320, 640]
    with pytest.raises(HandError, match="2 pictures need one K or 2"):
        pipeline([picture, picture], [K])
    with pytest.raises(HandError, match=r"\(3, 3\)"):
        pipeline(picture, K[:2])


def test_focal_length_of_the_file(pipeline: HandPipeline, painter: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    path = tmp_path / "shot.jpg"
    Image.fromarray(painter([RIGHT_BOX])[..., ::-1]).save(path, exif=exif, quality=95)
    hands = pipeline(path)
    assert len(hands) == 1
    assert hands.K[0, 0] == pytest.approx(50 * 400 / 43.2666, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 3), (2, 700)])
def test_absurd_pictures_have_no_hands(
    tiny_detector: Path, tiny_reconstructor: Path, shape: tuple[int, int]
) -> None:
    hands = HandPipeline(tiny_detector, tiny_reconstructor)(np.full((*shape, 3), 7, np.uint8))
    assert len(hands) == 0
    assert hands.image_size == (shape[1], shape[0])


@pytest.mark.parametrize("boxes", [[0, 0, 1, 1], [-50, -50, -10, -10], [0, 0, 1e-3, 1e-3]])
def test_absurd_boxes_do_not_crash(tiny_reconstructor: Path, boxes: list[float]) -> None:
    from wilor_yolo.reconstruct.predictor import HandReconstructor

    image = np.zeros((1, 1, 3), np.uint8)
    hands = HandReconstructor(tiny_reconstructor).reconstruct_boxes(image, [boxes], [True])
    assert np.isfinite(hands.vertices).all()


def test_wrong_input_is_named(pipeline: HandPipeline, tmp_path: Path) -> None:
    with pytest.raises(HandError, match=r"BGR picture"):
        pipeline(np.zeros((4, 4), np.uint8))
    with pytest.raises(HandError, match=r"BGR picture"):
        pipeline(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist"):
        pipeline(tmp_path / "gone.jpg")
    with pytest.raises(HandError, match="is a int; give a path"):
        pipeline(3)
    for wrong, name in ((b"", "bytes"), (None, "NoneType")):
        with pytest.raises(HandError, match=f"a picture is a {name}; give a path or a BGR array"):
            pipeline([np.zeros((4, 4, 3), np.uint8), wrong])
    with pytest.raises(HandError, match="K is a"):
        pipeline([np.zeros((4, 4, 3), np.uint8)], 5)


def test_no_hands_have_shapes_too(pipeline: HandPipeline, painter: Any) -> None:
    for picture in (painter([]), np.full((1, 5000, 3), 7, np.uint8)):
        none = pipeline(picture)
        assert none.reconstructed and (none.joints + none.cam_t[:, None]).shape == (0, 21, 3)
        assert none.K[0, 0] == max(picture.shape) and none.faces.shape[1] == 3


def test_pillow_pictures_are_rgb(pipeline: HandPipeline, painter: Any) -> None:
    picture = painter([LEFT_BOX, RIGHT_BOX])
    alone, (among, _) = pipeline(picture), pipeline([Image.fromarray(picture[..., ::-1]), picture])
    np.testing.assert_allclose(among.vertices, alone.vertices, atol=1e-6)
    np.testing.assert_array_equal(
        pipeline(Image.fromarray(picture[..., ::-1])).vertices, alone.vertices
    )


def test_a_stream_of_ones_own_frames(pipeline: HandPipeline, painter: Any) -> None:
    pictures = [painter([LEFT_BOX]), painter([]), painter([LEFT_BOX, RIGHT_BOX])]
    came = []

    def camera() -> Iterator[np.ndarray]:
        for picture in pictures:
            came.append(picture)
            yield picture

    stream = list(pipeline.stream(camera(), track=False))
    assert [len(hands) for _, hands in stream] == [1, 0, 2]
    assert [frame.index for frame, _ in stream] == [0, 1, 2] and stream[0][0].time == 0
    assert [f.index for f, _ in pipeline.stream(pictures, track=False, stride=2)] == [0, 2]
    came.clear()
    assert len(list(pipeline.stream(camera(), track=False, max_frames=1))) == len(came) == 1
    with pytest.raises(HandError, match="BGR picture"):
        list(pipeline.stream([np.zeros((4, 4))], track=False))
    with pytest.raises(HandError, match="one after the other"):
        next(pipeline.stream(3.5))  # type: ignore[arg-type]


@pytest.mark.parametrize("tracker", ["nope.yaml", "bytetrack", "README.md"])
def test_an_unknown_tracker_is_named(pipeline: HandPipeline, painter: Any, tracker: str) -> None:
    pytest.importorskip("lap")
    with pytest.raises(HandError, match=rf"tracker={tracker} is no .*bytetrack\.yaml"):
        next(pipeline.stream([painter([])], track=True, tracker=tracker))


@pytest.mark.parametrize(
    "wrong", [{"conf": 25}, {"conf": "a"}, {"iou": -1}, {"imgsz": 0}, {"imgsz": (320, 416)}]
)
def test_settings_out_of_range_are_named(pipeline: HandPipeline, wrong: dict) -> None:
    with pytest.raises(HandError, match=next(iter(wrong))):
        HandPipeline(pipeline.detector, pipeline.reconstructor, **wrong)
    with pytest.raises(HandError, match="HandDetector"):
        HandPipeline(object(), pipeline.reconstructor)  # type: ignore[arg-type]
    with pytest.raises(HandError, match="give a HandReconstructor"):
        HandPipeline(pipeline.detector, pipeline.detector)  # type: ignore[arg-type]
    for length in (-1, "x", float("nan")):
        with pytest.raises(HandError, match="hand_length="):
            HandPipeline(pipeline.detector, pipeline.reconstructor, hand_length=length)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="no pixels"):
        pipeline(Image.new("RGB", (0, 0)))


def test_hand_model_belongs_to_a_path(pipeline: HandPipeline, blobs: Any) -> None:
    with pytest.raises(HandError, match="hand_model"):
        HandPipeline(None, pipeline.reconstructor, hand_model="MANO_RIGHT.pkl")
    with pytest.raises(HandError, match="backend"):
        HandPipeline(None, pipeline.reconstructor, reconstructor_backend="openvino")


def test_vote_outweighs_a_few_wrong_frames() -> None:
    vote = SideVote()
    sides = [RIGHT, RIGHT, LEFT, LEFT, RIGHT]
    scores = [0.9, 0.8, 0.3, 0.4, 0.7]
    assert [vote.add(5, s, c) for s, c in zip(sides, scores, strict=True)] == [RIGHT] * 5
    assert vote.add(6, LEFT, 0.5) == LEFT  # another track has votes of its own
    for track, first, second in ((7, LEFT, RIGHT), (8, RIGHT, LEFT)):
        vote.add(track, first, 0.5)
        assert vote.add(track, second, 0.5) == second  # a tie keeps the frame's side


def _clip(painter: Any) -> list[np.ndarray]:
    """A large hand seen as right, wrong once; a small left one moving along."""
    return [
        painter(
            [
                ("left" if i == 3 else "right", 200, 60, 290, 160),
                ("left", 10 + 6 * i, 30, 60 + 6 * i, 90),
            ]
        )
        for i in range(6)
    ]


def test_stream_tracks_and_votes(
    pipeline: HandPipeline,
    painter: Any,
    write_video: Any,
    monkeypatch: pytest.MonkeyPatch,
    blobs: Any,
) -> None:
    path = write_video(_clip(painter))
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: True)
    seen = list(pipeline.stream(path))
    assert [frame.index for frame, _ in seen] == list(range(6))
    for _, hands in seen:
        assert hands.reconstructed
        assert dict(zip(hands.track_id.tolist(), hands.side, strict=True)) == {
            1: "right",
            2: "left",
        }
    assert [settings["persist"] for _, settings in blobs[0].seen] == [False] + [True] * 5
    # Without tracking the wrong frame stays wrong: the vote is what mends it.
    plain = list(pipeline.stream(path, track=False))
    assert sorted(plain[3][1].side) == ["left", "left"]
    assert plain[3][1].track_id is None


def test_a_tracked_hand_keeps_its_side_when_a_crop_seems_another(
    pipeline: HandPipeline, painter: Any, write_video: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []

    def settle_sides(crops: np.ndarray, output: Any, forward: Any) -> Any:
        """The crops of the fourth frame seem to show hands of the other side."""
        checked.append(len(crops))
        return output, np.full(len(crops), len(checked) == 4)

    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: True)
    monkeypatch.setattr("wilor_yolo.reconstruct.predictor.settle_sides", settle_sides)
    path = write_video([painter([RIGHT_BOX, LEFT_BOX]) for _ in range(5)])
    seen = [hands for _, hands in pipeline.stream(path)]
    assert checked == [2] * 5  # once told the side by the vote, the crop has no say
    sides = [dict(zip(hands.track_id.tolist(), hands.side, strict=True)) for hands in seen]
    assert sides == [{1: "right", 2: "left"}] * 5
    del checked[:]
    plain = [hands for _, hands in pipeline.stream(path, track=False)]
    assert plain[3].is_right.tolist() != plain[2].is_right.tolist()


@pytest.mark.parametrize("shared", ["pipeline", "detector", "nothing"])
def test_a_second_tracked_stream_of_a_detector_ends_the_first(
    shared: str,
    pipeline: HandPipeline,
    painter: Any,
    write_video: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: True)
    path = write_video(_clip(painter))
    other = pipeline
    if shared != "pipeline":
        detector = pipeline.detector if shared == "detector" else None
        other = HandPipeline(detector, pipeline.reconstructor)
    first, second = pipeline.stream(path), other.stream(path)
    next(first), next(second)
    if shared == "nothing":
        assert len(list(first)) == 5
    else:
        with pytest.raises(HandError, match="a HandDetector of its own"):
            next(first)
    assert len(list(second)) == 5


def test_stream_stride_and_limit(pipeline: HandPipeline, painter: Any, write_video: Any) -> None:
    path = write_video(_clip(painter))
    frames = [frame for frame, _ in pipeline.stream(path, track=False, stride=2, max_frames=2)]
    assert [frame.index for frame in frames] == [0, 2]
    assert frames[1].time == pytest.approx(0.2)


def test_stream_refuses_pictures_and_missing_tracker(
    pipeline: HandPipeline, painter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), painter([]))
    with pytest.raises(HandError, match="is no video"):
        next(pipeline.stream(path))
    monkeypatch.setattr("wilor_yolo.pipeline.can_track", lambda: False)
    monkeypatch.setattr("wilor_yolo.pipeline.find_source", lambda source: None)
    with pytest.raises(HandError, match=r"install wilor_yolo\[track\]"):
        next(pipeline.stream("clip.mp4", track=True))


def test_ultralytics_tracker_follows_hands(
    tiny_detector: Path,
    tiny_reconstructor: Path,
    painter: Any,
    write_video: Any,
    blob_finder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real tracker inside a real detector; only what the network answers is painted."""
    pytest.importorskip("lap")
    from ultralytics.models.yolo.pose import PosePredictor

    monkeypatch.setattr(
        PosePredictor,
        "postprocess",
        lambda self, preds, img, orig_imgs, **rest: blob_finder.predict(orig_imgs),
    )
    pipeline = HandPipeline(tiny_detector, tiny_reconstructor)
    path = write_video(_clip(painter))
    for _ in range(2):  # the second pass starts afresh
        seen = [hands for _, hands in pipeline.stream(path)]
        sides = [dict(zip(h.track_id.tolist(), h.side, strict=True)) for h in seen]
        assert sides == [{1: "right", 2: "left"}] * 6
    late = write_video([painter([RIGHT_BOX] if i > 1 else []) for i in range(5)])
    assert [len(hands) for _, hands in pipeline.stream(late)] == [0, 0, 0, 1, 1]
    assert [len(hands) for _, hands in pipeline.stream(late, track=False)] == [0, 0, 1, 1, 1]
