from __future__ import annotations

import json

import numpy as np
import pytest

from wilor_yolo.data.detection_formats import read_pictures
from wilor_yolo.data.formats import SetOptions, read_set, write_set
from wilor_yolo.data.raw_hand import ReadReport
from wilor_yolo.errors import HandError
from wilor_yolo.shards import iterate_samples


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    pytest.importorskip("embreex")
    from wilor_yolo.synth.generate_scenes import generate_scenes

    folder = tmp_path_factory.mktemp("scenes")
    generate_scenes(folder, 6, seed=5, size=256, kinds=["focus", "touching"])
    return folder


def test_joints_project_onto_the_labels_of_the_detector(scenes, tmp_path):
    report = ReadReport(strict=True)
    hands = list(read_set(SetOptions("scenes", str(scenes)), report))
    assert len(hands) >= 3 and {hand.source for hand in hands} == {"scenes"}
    truth = [p for p in (scenes / "truth").glob("*.json") if json.loads(p.read_text())["hands"]]
    assert {hand.label for hand in hands} <= set(truth)
    write_set(hands, tmp_path, report)
    samples = list(iterate_samples(tmp_path))
    assert len(samples) + report.left_out["hands smaller than 16 px"] <= len(hands)
    for sample in samples:
        flat = sample.keypoints_3d @ sample.K.T
        pixels = flat[:, :2] / flat[:, 2:]
        np.testing.assert_allclose(pixels, sample.keypoints_2d[:, :2], atol=0.3)
        assert not sample.has_parameters and sample.keypoints_3d_confidence == 1


def test_mostly_hidden_hands_are_left_out(scenes, tmp_path):
    first = sorted((scenes / "truth").glob("*.json"))[0]
    (tmp_path / "truth").mkdir()
    truth = json.loads(first.read_text())
    hand = {"is_right": True, "bbox_xyxy": [1, 2, 30, 40], "keypoints_3d": [[0, 0, 1.0]] * 21}
    behind = hand | {"visible": 1.0, "keypoints_3d": [[0, 0, 1.0]] * 20 + [[0, 0, -0.1]]}
    truth["hands"] = [hand | {"visible": 0.3}, hand | {"visible": 0.9}, hand, behind]
    (tmp_path / "truth" / "5_000000.json").write_text(json.dumps(truth))
    (tmp_path / "truth" / "5_000001.json").write_text("{")
    del truth["K"]
    (tmp_path / "truth" / "5_000002.json").write_text(json.dumps(truth))
    report = ReadReport()
    assert len(list(read_set(SetOptions("scenes", str(tmp_path)), report))) == 1
    assert report.left_out["hands mostly hidden"] == 1
    assert report.left_out["hands that reach behind the camera"] == 1
    # One hand does not say how visible it is, one file is torn, one has no camera.
    assert report.fault_count == 3


def test_a_folder_without_truth_is_named(tmp_path):
    with pytest.raises(HandError, match="holds no scenes"):
        list(read_set(SetOptions("scenes", str(tmp_path)), ReadReport()))


def test_a_detector_needs_no_conversion(scenes):
    with pytest.raises(HandError, match=r"scenes\.yaml"):
        read_pictures(SetOptions("scenes", str(scenes)), ReadReport())
