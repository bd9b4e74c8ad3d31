"""Strangers' pickles: plain data comes out, and nothing in them ever runs."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from wilor_yolo.errors import WeightsError
from wilor_yolo.unpickle import (
    NUMPY_NAMES,
    PickledArray,
    Record,
    SparseColumns,
    as_plain,
    read_pickle,
)


class Runs:
    """Pickles to a call."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def _marker(tmp_path):
    return str(tmp_path / "was-run")


def _evil(kind, marker):
    text = marker.encode()
    if kind == "call":
        return pickle.dumps(Runs(Path.touch, Path(marker)))
    if kind == "eval":
        return pickle.dumps({"v_template": Runs(eval, f"open({marker!r}, 'w')")})
    if kind == "exec, protocol 0":
        return b"cbuiltins\nexec\n(S'open(" + repr(marker).encode() + b', "w")\'\ntR.'
    if kind == "python 2 builtins":
        return b"c__builtin__\nopen\n(S'" + text + b"'\nS'w'\ntR."
    if kind == "os.system, INST":
        return b"(S'touch " + text + b"'\nios\nsystem\n."
    if kind == "os.system, OBJ":
        return b"(cos\nsystem\nS'touch " + text + b"'\no."
    if kind == "os.system, stack global":
        return b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + _short(b"touch " + text) + b"\x85R."
    if kind == "NEWOBJ":
        return (
            b"\x80\x02cio\nFileIO\nX" + struct.pack("<I", len(text)) + text + b"X\1\0\0\0w\x86\x81."
        )
    if kind == "getattr of a known class":
        return b"c__builtin__\ngetattr\n(cnumpy\nndarray\nS'tofile'\ntR."
    if kind == "submodule of a known name":
        return b"cnumpy.core.multiarray\n_reconstruct.__init__.__globals__\n."
    raise AssertionError(kind)


def _short(text):
    return bytes([len(text)]) + text


EVIL = (
    "call",
    "eval",
    "exec, protocol 0",
    "python 2 builtins",
    "os.system, INST",
    "os.system, OBJ",
    "os.system, stack global",
    "NEWOBJ",
    "getattr of a known class",
    "submodule of a known name",
)


@pytest.mark.parametrize("kind", EVIL)
def test_calls_are_refused_and_not_made(kind, tmp_path):
    data = _evil(kind, _marker(tmp_path))
    with pytest.raises(WeightsError, match="asks for"):
        read_pickle(data, NUMPY_NAMES, inert=("chumpy", "torch", "yacs"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["call", "exec, protocol 0", "python 2 builtins"])
def test_those_pickles_do_run_in_the_standard_reader(kind, tmp_path):
    """Otherwise the test above proves nothing."""
    pickle.loads(_evil(kind, _marker(tmp_path)))
    assert Path(_marker(tmp_path)).exists()


def test_pickles_cannot_rewrite_our_classes():
    before = dict(Record.__dict__)
    for data in (
        b"\x80\x02cnumpy\nndarray\n}X\x05\0\0\0itemsK\x01sb.",  # BUILD on the class itself
        b"\x80\x02cnumpy\nndarray\nN}X\x05\0\0\0itemsK\x01s\x86b.",  # with slot state
        b"\x80\x02cnumpy\nndarray\nK\x01K\x02s.",  # SETITEM on the class
        b"\x80\x02cnumpy\nndarray\n(K\x01e.",  # APPENDS to the class
    ):
        with pytest.raises(WeightsError):
            read_pickle(data, NUMPY_NAMES)
    assert dict(Record.__dict__) == before


def test_state_on_a_record_is_only_remembered():
    # BUILD with a dictionary would write into __dict__ of an object without __setstate__.
    data = b"\x80\x02cyacs.config\nCfgNode\n)\x81}X\x05\0\0\0itemsK\x01sb."
    record = read_pickle(data, inert=("yacs",))
    assert record.items == {} and record.state == {"items": 1}
    assert record.attribute("items") == 1
    with pytest.raises(WeightsError, match="no other"):
        record.attribute("other")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.array([True, False]),
        np.array(3.5),
        np.zeros((0, 3), np.float32),
    ],
    ids=["float64", "fortran", "big endian", "bool", "scalar", "empty"],
)
def test_numpy_arrays(array, protocol):
    read = read_pickle(pickle.dumps({"a": array}, protocol=protocol), NUMPY_NAMES)["a"].numpy()
    assert read.shape == array.shape
    assert np.array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")


def test_python_2_arrays_are_read():
    body = np.arange(3.0).tobytes()
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\ntcnumpy\n"
        b"dtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS"
        + repr(body)[1:].encode()
        + b"\ntb."
    )
    assert read_pickle(data, NUMPY_NAMES).numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "array",
    [np.array([{}], object), np.array(["a"]), np.zeros(2, [("x", "f8")])],
    ids=["objects", "text", "structure"],
)
def test_arrays_of_other_things_than_numbers_are_refused(array):
    record = read_pickle(pickle.dumps(array, protocol=2), NUMPY_NAMES)
    with pytest.raises(WeightsError):
        record.numpy()


def test_an_array_too_large_for_its_data_is_refused():
    record = PickledArray()
    good = read_pickle(pickle.dumps(np.zeros(4), protocol=2), NUMPY_NAMES)
    for shape in ((5,), (2**40, 2**40), (-4,), "4", (4.0,)):
        version, _, *rest = good.state
        record.__setstate__((version, shape, *rest))
        with pytest.raises((WeightsError, TypeError)):
            record.numpy()


SPARSE = {**NUMPY_NAMES, ("scipy.sparse._csc", "csc_matrix"): SparseColumns}


def test_sparse_matrices_without_scipy():
    rng = np.random.default_rng(0)
    dense = rng.random((5, 9)) * (rng.random((5, 9)) > 0.7)
    data = pickle.dumps(scipy.sparse.csc_matrix(dense), protocol=2)
    read = read_pickle(data, SPARSE)
    assert np.array_equal(read.numpy(), dense)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("indices", np.array([0, 99])),
        ("indices", np.array([0, -1])),
        ("indptr", np.array([0, 2, 1, 2])),
        ("indptr", np.array([0, 2])),
        ("_shape", (10**6, 10**6)),
    ],
)
def test_broken_sparse_matrices_are_refused(name, value):
    matrix = scipy.sparse.csc_matrix(np.array([[1.0, 0, 2], [0, 0, 0]]))
    matrix.__dict__[name] = value
    with pytest.raises(WeightsError):
        read_pickle(pickle.dumps(matrix, protocol=2), SPARSE).numpy()


def test_containers():
    data = {"o": OrderedDict(b=1, a=[1, (2.5, None, True)]), "b": b"\xff\x00", "t": "é"}
    assert read_pickle(pickle.dumps(data)) == data
    assert read_pickle(pickle.dumps({"s": {3}}, protocol=2))["s"].args == ([3],)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x02", b"not a pickle", b"\x80\x02}", b"(((((", b"\x80\x63.", b"I1\n" * 9]
)
def test_damage_is_one_plain_error(data):
    with pytest.raises(WeightsError, match="damaged or no pickle") as caught:
        read_pickle(data)
    assert "\n" not in str(caught.value)


def test_outside_data_is_refused_unless_known():
    data = b"Pkey\n."
    with pytest.raises(WeightsError, match="outside"):
        read_pickle(data)
    assert read_pickle(data, persistent=lambda pid: pid.upper()) == "KEY"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_values_of_records(protocol):
    data = {
        "number": np.float32(2.5),
        "flag": np.bool_(True),
        "text": np.str_("hand"),
        "list": [np.arange(3), (np.int64(7), b"raw")],
        "objects": np.array([{"a": np.int32(1)}, None], object),
        "one object": np.array({"b": 2}, object),
    }
    read = as_plain(read_pickle(pickle.dumps(data, protocol=protocol), NUMPY_NAMES))
    assert (read["number"], read["flag"], read["text"]) == (2.5, True, "hand")
    assert read["list"][0].tolist() == [0, 1, 2] and read["list"][1] == (7, b"raw")
    assert read["objects"] == [{"a": 1}, None] and read["one object"] == {"b": 2}


def test_plain_values_refuse_foreign_records():
    record = read_pickle(b"cyacs.config\nCfgNode\n)\x81.", inert=("yacs",))
    with pytest.raises(WeightsError, match="CfgNode"):
        as_plain({"a": [record]})
    crowd = np.empty((2, 2), object)
    with pytest.raises(WeightsError, match="objects"):
        as_plain(read_pickle(pickle.dumps(crowd, protocol=2), NUMPY_NAMES))
