"""Hand model files: what is read equals what was stored, and strangers' files stay shut."""

from __future__ import annotations

import lzma
import os
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.errors import WeightsError
from wilor_yolo.mano.files import (
    HandModel,
    check_hand_model,
    load_hand_model,
    repair_left_shapedirs,
)
from wilor_yolo.reconstruct.released import load_released_hand_model
from wilor_yolo.weights_dir import FREE_HAND, shipped

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "released"


@pytest.fixture(scope="module")
def chumpy_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mano") / "MANO_RIGHT.pkl"
    path.write_bytes(lzma.decompress((FIXTURES / "MANO_RIGHT_chumpy.pkl.xz").read_bytes()))
    return path


def _keys(model: HandModel) -> dict[str, np.ndarray]:
    names = {"f": "faces"}
    keys = ("v_template", "f", "weights", "J_regressor", "shapedirs", "posedirs")
    data = {key: getattr(model, names.get(key, key)) for key in keys}
    return {**data, "hands_mean": model.hands_mean, "hands_components": model.hands_components}


def test_a_file_with_chumpy_and_scipy_objects_is_read(chumpy_file):
    model = load_hand_model(chumpy_file)
    stored = load_released_hand_model(FIXTURES / "official_tiny.ckpt")  # the same hand as buffers
    for name in ("v_template", "weights", "J_regressor", "shapedirs", "posedirs"):
        ours, theirs = getattr(model, name), getattr(stored, name)
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        # The fixture's mantissas are cut to 12 bits.
        assert np.abs(ours - theirs).max() <= 2e-4 * np.abs(theirs).max(), name
    assert np.array_equal(model.faces, stored.faces)
    assert model.hands_components.shape == (45, 45)


def test_chumpy_is_never_imported(chumpy_file):
    """Nor scipy, which a MANO file names: the reader needs numpy alone."""
    code = (
        "import sys; from wilor_yolo.mano.files import load_hand_model; "
        f"before = set(sys.modules); load_hand_model({str(chumpy_file)!r}); "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "assert not new & {'chumpy', 'scipy'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_plain_pickles_and_npz_are_read(tmp_path):
    model = load_hand_model()
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(_keys(model), protocol=2))
    np.savez(tmp_path / "m.npz", **_keys(model))
    for file in ("m.pkl", "m.npz"):
        again = load_hand_model(tmp_path / file)
        for field in fields(HandModel):
            if field.name not in ("side", "wrist_faces"):
                assert np.array_equal(getattr(again, field.name), getattr(model, field.name))
    assert load_hand_model(tmp_path / "m.npz", side="left").side == "left"


def test_the_shipped_hand_closes_its_wrist():
    model = load_hand_model()
    check_hand_model(model, "shipped")
    edges = {}
    for face in np.vstack((model.faces, model.wrist_faces)):
        for a, b in zip(face, np.roll(face, -1), strict=True):
            edges[a, b] = edges.get((a, b), 0) + 1
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges), "the mesh has a hole"


class _Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["alone", "as v_template", "inside a list"])
def test_a_pickle_that_runs_something_is_refused_and_does_not_run(tmp_path, place):
    marker, path = tmp_path / "was-run", tmp_path / "MANO_RIGHT.pkl"
    evil = _Runs(marker)
    data = {
        "alone": evil,
        "as v_template": {**_keys(load_hand_model()), "v_template": evil},
        "inside a list": {**_keys(load_hand_model()), "extra": [1, [evil]]},
    }[place]
    path.write_bytes(pickle.dumps(data))
    with pytest.raises(WeightsError, match=r"not a MANO file: it asks for (posix|nt)\.system"):
        load_hand_model(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # the standard reader does run it
    assert marker.exists()


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [("MANO_LEFT.pkl", "right", "called a left hand"), ("mano_right.npz", "left", "give the left")],
)
def test_the_other_side_is_refused(tmp_path, name, side, said):
    (tmp_path / name).write_bytes(b"not even read")
    with pytest.raises(WeightsError, match=said):
        load_hand_model(tmp_path / name, side)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x02}", pickle.dumps([1, 2]), pickle.dumps({"f": 1})]
)
def test_damaged_and_other_pickles_are_refused(tmp_path, content):
    path = tmp_path / "m.pkl"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.pkl"):
        load_hand_model(path)


def test_damaged_arrays_are_refused(tmp_path):
    whole, path = shipped(FREE_HAND).read_bytes(), tmp_path / "m.npz"
    spoilt = bytearray(whole)
    spoilt[len(whole) // 3 : len(whole) // 3 + 50] = bytes(50)
    for content in (b"", whole[: len(whole) // 2], spoilt):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"m\.npz is not a readable \.npz"):
            load_hand_model(path)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, chumpy_file, cut):
    path = tmp_path / "m.pkl"
    data = chumpy_file.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(WeightsError, match="damaged"):
        load_hand_model(path)


def test_damaged_and_foreign_npz_are_refused(tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(WeightsError, match=r"m\.npz"):
        load_hand_model(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(WeightsError, match="lacks v_template"):
        load_hand_model(path)
    np.savez(path, **{**_keys(load_hand_model()), "v_template": np.array([{}], object)})
    with pytest.raises(WeightsError):  # an object array is a pickle inside the .npz
        load_hand_model(path)
    with pytest.raises(WeightsError, match="does not exist"):
        load_hand_model(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("v_template", np.zeros((777, 3), np.float32), "shape"),
        ("shapedirs", np.zeros((778, 3, 4), np.float32), "shape"),
        ("weights", np.full((778, 16), np.nan, np.float32), "finite"),
        ("faces", np.full((1538, 3), 778), "triangles"),
        ("faces", np.zeros(6, int), "triangles"),
    ],
)
def test_wrong_shapes_and_numbers_are_refused(name, value, said):
    with pytest.raises(WeightsError, match=said):
        check_hand_model(replace(load_hand_model(), **{name: value}), "file")


def test_left_shape_directions_are_repaired_once():
    right = load_hand_model()
    mirrored = right.shapedirs.copy()
    mirrored[:, 0] *= -1
    good = replace(right, side="left", shapedirs=mirrored)
    bad = replace(right, side="left")  # the published fault: x directions as the right hand's
    assert repair_left_shapedirs(good, right) is good
    assert np.array_equal(repair_left_shapedirs(bad, right).shapedirs, mirrored)
