from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set, write_set
from wilor_yolo.data.mano_labels import ManoModels
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.errors import HandError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.shards import iterate_samples

K = np.array([[480.0, 0, 112], [0, 470, 110], [0, 0, 1]])
SIZE = (224, 224)


@pytest.fixture
def root(tmp_path, posed_hand, photograph):
    """Two hands in two of the four versions, and one evaluation hand."""
    model = load_hand_model()
    hands = [posed_hand(seed) for seed in (0, 1)]
    pictures = tmp_path / "training" / "rgb"
    pictures.mkdir(parents=True)
    for i, hand in enumerate([*hands, *hands]):
        cv2.imwrite(str(pictures / f"{i:08d}.jpg"), photograph([hand], K, SIZE))
    mano = []
    for hand in hands:
        relative = hand.pose.copy()
        relative[3:] -= model.hands_mean
        relative[:3] *= 1.02  # a degree or so off, as in the real set
        mano.append([[*relative, *hand.betas, 1.0, 2.0, 3.0]])
    for name, rows in (
        ("K", [K.tolist()] * 2),
        ("xyz", [h.joints.tolist() for h in hands]),
        ("mano", mano),
    ):
        (tmp_path / f"training_{name}.json").write_text(json.dumps(rows))
    return tmp_path, hands


def test_joints_and_versions(root, assert_true):
    folder, hands = root
    report = ReadReport(strict=True)
    raw = list(read_set(SetOptions("freihand", str(folder)), report))
    assert len(raw) == 4 and report.left_out.total() == 4  # two versions are not there
    for i, hand in enumerate(raw):
        sample = to_sample(hand)
        assert_true(sample, hands[i % 2])
        assert not sample.has_parameters


def test_parameters_need_the_model_and_are_realigned(root, assert_parameters):
    folder, hands = root
    models = ManoModels(right=load_hand_model())
    options = SetOptions("freihand", str(folder), models=models)
    samples = [to_sample(hand) for hand in read_set(options, ReadReport(strict=True))]
    for sample, hand in zip(samples, hands, strict=False):
        assert_parameters(sample, hand)


def test_shards_and_a_faulty_record(root, tmp_path):
    folder, _ = root
    label = folder / "training_xyz.json"
    rows = json.loads(label.read_text())
    rows[1][7][2] = float("nan")
    label.write_text(json.dumps(rows))
    options = SetOptions("freihand", str(folder))
    report = ReadReport()
    paths = write_set(read_set(options, report), tmp_path / "shards", report)
    samples = list(iterate_samples(paths, strict=True))
    assert [s.key for s in samples] == [
        "freihand_training_00000000",
        "freihand_training_00000002",
    ]
    assert report.fault_count == 2
    assert "training_xyz.json: sample freihand_training_00000001" in report.faults[0]
    assert "NaN" in report.faults[0]
    with pytest.raises(HandError, match="holds shards already"):
        write_set([], tmp_path / "shards", report)
    strict = ReadReport(strict=True)
    with pytest.raises(HandError, match=r"training_xyz.json: sample freihand_training_00000001"):
        write_set(read_set(options, strict), tmp_path / "other", strict)
    assert not list((tmp_path / "other").iterdir())


def test_a_full_disk(root, tmp_path, monkeypatch):
    folder, _ = root

    def full(self, sample):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wilor_yolo.data.formats.ShardWriter.add", full)
    report = ReadReport()
    hands = read_set(SetOptions("freihand", str(folder)), report)
    with pytest.raises(HandError, match=r"shards cannot be written to \(No space left"):
        write_set(hands, tmp_path / "shards", report)


def test_missing_and_torn_files(root):
    folder, _ = root
    (folder / "training_K.json").write_text("[[[480.0, 0")
    with pytest.raises(HandError, match=r"training_K.json is damaged"):
        list(read_set(SetOptions("freihand", str(folder)), ReadReport()))
    (folder / "training_K.json").write_text("[]")
    with pytest.raises(HandError, match="do not belong together"):
        list(read_set(SetOptions("freihand", str(folder)), ReadReport()))
    with pytest.raises(HandError, match=r"evaluation_xyz.json does not exist"):
        list(read_set(SetOptions("freihand", str(folder), split="test"), ReadReport()))
    with pytest.raises(HandError, match="split=val"):
        read_set(SetOptions("freihand", str(folder), split="val"), ReadReport())
    with pytest.raises(HandError, match="unknown"):
        read_set(SetOptions("rhd", str(folder)), ReadReport())


def test_labels_for_a_detector(root, detector_set, assert_labelled):
    folder, hands = root
    report, pictures = detector_set(SetOptions("freihand", str(folder)))
    assert report.pictures == 4 and report.hands == {"freihand, right": 4}
    for i, (image, (label,)) in enumerate(pictures):
        assert_labelled(image, label, hands[i % 2], K)
