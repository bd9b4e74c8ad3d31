from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.challenge_files import read_points, read_predictions, write_predictions


def test_round_trip_and_stock_json(tmp_path):
    rng = np.random.default_rng(0)
    joints, vertices = rng.normal(size=(4, 21, 3)), rng.normal(size=(4, 7, 3))
    packed = write_predictions(tmp_path, joints, vertices)
    for path in (packed, tmp_path / "pred.json", tmp_path):
        got_joints, got_vertices = read_predictions(path)
        np.testing.assert_allclose(got_joints, joints, atol=6e-7)
        np.testing.assert_allclose(got_vertices, vertices, atol=6e-7)
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["pred.json"]
        stock = json.loads(archive.read("pred.json"))
    np.testing.assert_allclose(stock[1], vertices, atol=6e-7)
    # Anybody's layout of white space.
    (tmp_path / "other.json").write_text(json.dumps(stock, indent=1) + "\n")
    np.testing.assert_allclose(read_predictions(tmp_path / "other.json")[0], joints, atol=6e-7)
    assert not list(tmp_path.glob("*.part"))


def test_read_points(tmp_path):
    path = tmp_path / "evaluation_xyz.json"
    path.write_text("[[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]")
    np.testing.assert_array_equal(read_points(path).ravel(), np.arange(12))
    path.write_text("[[[0, 1, 2], [3, 4, 5]], [[6, 7, 8]]]")
    with pytest.raises(HandError, match="sample 1 has 1 points"):
        read_points(path)
    with pytest.raises(HandError, match="does not exist"):
        read_points(tmp_path / "gone.json")
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(HandError, match=r"bad\.zip is damaged"):
        read_predictions(tmp_path / "bad.zip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[[[0, 0, 0]]], [[[0, 0, 0]]]]", "should be (N, 21, 3)"),
        ("{}", "is no list of joints"),
        ("[[[[0, 0]]]]", "sample 0 is no list of finite 3D points"),
        ("[[[[0, 0, NaN]]]]", "sample 0 is no list of finite 3D points"),
        ("[[[[0, 0, 1]], [[0, 0", "damaged at sample 1"),
        ("[[[[0, 0, 1]]]]", "holds one list"),
        ("[[], []]", "no samples"),
    ],
)
def test_bad_predictions_are_named(tmp_path, text, message):
    path = tmp_path / "pred.json"
    path.write_text(text)
    with pytest.raises(HandError, match=r"pred\.json") as caught:
        read_predictions(path)
    assert message in str(caught.value)
