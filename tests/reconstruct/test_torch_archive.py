"""Checkpoints of strangers: the tensors torch would give, and nothing run."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch

from wilor_yolo.errors import WeightsError
from wilor_yolo.reconstruct.torch_archive import PickledTensor, TorchArchive
from wilor_yolo.unpickle import Record
from wilor_yolo.weights_dir import shipped

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "released" / "official_tiny.ckpt"


def _rewrite(source, target, changes, compression=zipfile.ZIP_STORED):
    """Copy an archive with some members replaced (None: left out)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            short = name.split("/", 1)[1]
            content = changes.get(short, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    ],
)
def test_tensors_equal_what_torch_reads(tmp_path, dtype):
    base = (torch.arange(24).reshape(2, 3, 4) % 5).to(dtype)
    saved = {
        "plain": base,
        "transposed": base.transpose(0, 2),
        "part": base[1, 1:, ::2],
        "scalar": base[0, 0, 1],
        "empty": base[:0],
    }
    torch.save({"state_dict": saved, "epoch": 3}, tmp_path / "a.ckpt")
    with TorchArchive(tmp_path / "a.ckpt") as archive:
        assert archive.contents["epoch"] == 3
        for name, value in saved.items():
            read = archive.tensor(name, archive.contents["state_dict"][name])
            assert read.dtype == dtype and read.shape == value.shape
            assert torch.equal(read, value), name


def test_parameters_and_trainer_state(tmp_path):
    module = torch.nn.BatchNorm2d(3)
    optimiser = torch.optim.AdamW(module.parameters())
    module.weight.grad = torch.ones(3)
    optimiser.step()
    torch.save(
        {
            "parameter": module.weight,
            "state_dict": module.state_dict(),
            "optimizer_states": [optimiser.state_dict()],
            "dtype": torch.float32,
            "size": torch.Size([1, 2]),
            "path": Path("somewhere"),
        },
        tmp_path / "a.ckpt",
    )
    with TorchArchive(tmp_path / "a.ckpt") as archive:
        contents = archive.contents
        assert torch.equal(archive.tensor("p", contents["parameter"]), module.weight.detach())
        read = archive.tensor("t", contents["state_dict"]["num_batches_tracked"])
        assert read.dtype == torch.int64 and read.shape == ()
        assert isinstance(contents["path"], Record)


def test_objects_of_absent_libraries_stay_inert():
    with TorchArchive(FIXTURE) as archive:
        config = archive.contents["hyper_parameters"]["cfg"]
        assert type(config).__name__ == "CfgNode" and isinstance(config, Record)
        assert config.items["MODEL"].items["IMAGE_SIZE"] == 256
        weight = archive.contents["state_dict"]["backbone.pos_embed"]
        assert isinstance(weight, PickledTensor) and weight.shape == (1, 193, 64)


class _Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["alone", "beside the weights", "as a weight"])
def test_a_checkpoint_that_runs_something_is_refused_and_does_not_run(tmp_path, place):
    marker, path = tmp_path / "was-run", tmp_path / "a.ckpt"
    evil = _Runs(marker)
    torch.save(
        {
            "alone": evil,
            "beside the weights": {"state_dict": {}, "callbacks": [evil]},
            "as a weight": {"state_dict": {"backbone.pos_embed": evil}},
        }[place],
        path,
    )
    with pytest.raises(WeightsError, match=r"asks for (posix|nt)\.system"):
        TorchArchive(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # torch's own trusting reader does run it
    assert marker.exists()


def test_a_detector_is_called_one():
    with pytest.raises(WeightsError, match=r"hand-n\.pt is a YOLO model; .*detector="):
        TorchArchive(shipped("hand-n.pt"))


@pytest.mark.parametrize("name", ["torch.hub.load", "torch.load", "numpy.load", "collections.abc"])
def test_known_packages_cannot_be_called(tmp_path, name):
    """Any name of an inert package is a record: calling it keeps the arguments, no more."""
    module, _, function = name.rpartition(".")
    call = b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"X\x03\0\0\0abc\x85R."
    path = _rewrite(FIXTURE, tmp_path / "a.ckpt", {"data.pkl": call})
    with TorchArchive(path) as archive:
        assert isinstance(archive.contents, Record) and archive.contents.args == ("abc",)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip archive at all"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged, or saved by a torch older"):
        TorchArchive(path)


def test_missing_and_old_files_say_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        TorchArchive(tmp_path / "none.ckpt")
    old = tmp_path / "old.ckpt"
    torch.save({"a": torch.zeros(2)}, old, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"save it anew with torch\.save"):
        TorchArchive(old)


@pytest.mark.parametrize("cut", [0.2, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, cut):
    data = FIXTURE.read_bytes()
    path = tmp_path / "a.ckpt"
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(WeightsError):
        TorchArchive(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    data = bytearray(FIXTURE.read_bytes())
    with zipfile.ZipFile(FIXTURE) as archive:
        start = archive.getinfo("official_tiny/data/1").header_offset
    data[start + 2000] ^= 1
    path = tmp_path / "a.ckpt"
    path.write_bytes(data)
    with TorchArchive(path) as archive:
        weight = archive.contents["state_dict"]["backbone.pos_embed"]
        with pytest.raises(WeightsError, match=r"backbone\.pos_embed cannot be read.*damaged"):
            archive.tensor("backbone.pos_embed", weight)


def test_storages_must_be_whole_and_uncompressed(tmp_path):
    def read(path):
        with TorchArchive(path) as archive:
            weight = archive.contents["state_dict"]["backbone.pos_embed"]
            return archive.tensor("backbone.pos_embed", weight)

    short = _rewrite(FIXTURE, tmp_path / "short.ckpt", {"data/1": b"\0" * 400})
    with pytest.raises(WeightsError, match="has 100 elements and needs 12352"):
        read(short)
    with pytest.raises(WeightsError, match="lacks data/1"):
        read(_rewrite(FIXTURE, tmp_path / "lacking.ckpt", {"data/1": None}))
    packed = _rewrite(FIXTURE, tmp_path / "packed.ckpt", {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="compressed"):
        read(packed)


@pytest.mark.parametrize(
    "arguments",
    [
        (0, (5,), (-1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (1,)),
        (0, "ab", (1, 1)),
        (0, (2**62,), (2**62,)),
    ],
)
def test_layouts_outside_the_storage_are_refused(arguments):
    with TorchArchive(FIXTURE) as archive:
        good = archive.contents["state_dict"]["backbone.init_cam"]
        bad = PickledTensor(good.args[0], *arguments)
        with pytest.raises(WeightsError, match="x cannot be read"):
            archive.tensor("x", bad)
        with pytest.raises(WeightsError, match="no tensor"):
            archive.tensor("x", archive.contents["hyper_parameters"])


def test_a_zip_without_a_pickle_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"data\.pkl"):
        TorchArchive(path)


def test_storages_of_unknown_kinds_are_refused(tmp_path):
    path = _rewrite(FIXTURE, tmp_path / "a.ckpt", {"data.pkl": b"Phello\n."})
    with pytest.raises(WeightsError, match="unknown way"):
        TorchArchive(path)
