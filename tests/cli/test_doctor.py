from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from wilor_yolo.cli import doctor
from wilor_yolo.cli.main import main


@pytest.fixture
def report(tiny_detector: Path, tiny_reconstructor: Path, tmp_path: Path, capsys: Any) -> Any:
    """``report(*keys)`` -> exit code and the report by subject."""

    def run(*keys: str) -> tuple[int, dict[str, str]]:
        given = {
            "detector": str(tiny_detector),
            "reconstructor": str(tiny_reconstructor),
            "out": str(tmp_path / "runs"),
        }
        given.update(pair.split("=", 1) for pair in keys)
        code = main(["doctor", *(f"{k}={v}" for k, v in given.items())])
        lines = capsys.readouterr().out.splitlines()
        found = {line[5:19].strip(): line[:5].strip() + " " + line[20:] for line in lines[:-1]}
        return code, {**found, "verdict": lines[-1]}

    return run


def test_all_is_well(report: Any, tiny_detector: Path) -> None:
    code, found = report()
    assert code == 0 and found["verdict"].startswith("All well")
    assert not [line for line in found.values() if line.startswith("BAD")]
    assert "torch 2" in found["packages"] and "ultralytics 8.4" in found["packages"]
    assert "CPU threads" in found["torch"]
    assert found["hand model"].startswith("ok ") and "778 vertices" in found["hand model"]
    assert str(tiny_detector) in found["detector"] and "sha256 " in found["detector"]
    assert "M parameters" in found["reconstructor"]
    assert "Ultralytics is offline" in found["network"]
    assert not list(Path(found["output"].split()[1]).parent.glob(".wilor-yolo-*"))


def test_missing_and_damaged_files(report: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    code, found = report(
        f"detector={tmp_path / 'bad.pt'}", f"reconstructor={tmp_path / 'gone.safetensors'}"
    )
    assert code == 1 and found["verdict"] == "2 things to mend"
    assert found["detector"].startswith("BAD ") and "bad.pt" in found["detector"]
    assert "gone.safetensors do not exist" in found["reconstructor"]


def test_a_detector_that_is_a_folder(report: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """As OpenVINO's are."""
    folder = tmp_path / "tiny_openvino_model"
    folder.mkdir()
    monkeypatch.setattr(doctor, "_try_detector", lambda path: f"exported, {path.name}")
    code, found = report(f"detector={folder}")
    assert code == 0 and found["detector"] == f"ok {folder} (exported, tiny_openvino_model)"


def test_shipped_names_are_taken(report: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = report("detector=hand-n.pt", "reconstructor=reconstructor-s.safetensors")
    assert code == 0
    assert "weights/hand-n.pt" in Path(found["detector"].split()[1]).as_posix()
    assert found["reconstructor"].startswith("ok ")


def test_exported_detector(report: Any, monkeypatch: Any, tmp_path: Path) -> None:
    class Exported:
        """Ultralytics keeps the path of an exported file for a model."""

        def __init__(self, path: Path) -> None:
            self.model = str(path)

        def predict(self, *_: Any, **__: Any) -> None:
            pass

    (tmp_path / "hand-n.onnx").write_bytes(b"x")
    monkeypatch.setattr("wilor_yolo.detect.model.HandDetector", Exported)
    code, found = report(f"detector={tmp_path / 'hand-n.onnx'}")
    assert code == 0 and "(exported, onnx, " in found["detector"]


def test_bad_hand_model(report: Any, tmp_path: Path) -> None:
    (tmp_path / "hand.npz").write_bytes(b"nothing")
    code, found = report(f"hand_model={tmp_path / 'hand.npz'}")
    assert code == 1 and "hand.npz is not a readable .npz hand model" in found["hand model"]


def test_read_only_output(report: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    code, found = report()
    assert code == 1
    assert found["output"] == f"BAD {tmp_path} cannot be written to (Permission denied); use out="


def test_missing_extras_are_notes(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "track", (("no_such_module",), "tracks"))
    code, found = report()
    assert code == 0
    assert found["extra track"] == (
        'note tracks: not here (no_such_module); pip install "wilor-yolo[track]"'
    )


def test_torch_that_does_not_load(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **keys: Any) -> Any:
        if name == "torch" and "doctor" in str((args[0] or {}).get("__name__", "")):
            raise OSError("libtorch.so is broken")
        return real(name, *args, **keys)

    monkeypatch.setattr(builtins, "__import__", refuse)
    code, found = report()
    assert code == 1
    assert "libtorch.so is broken" in found["torch"]
    assert "detector" not in found  # could not be tried
