"""The thin verbs hand their keys to the wings: reconstruct, synth, evaluate, bench."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.cli.bench import measure_chain
from wilor_yolo.cli.main import main
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards
from wilor_yolo.synth.people_scene import KINDS
from wilor_yolo.weights_dir import FREE_HAND, shipped


def _sample(i: int) -> HandSample:
    keypoints = np.random.default_rng(i).uniform(16, 48, (21, 2))
    return HandSample(
        image=np.full((64, 64, 3), 90, np.uint8),
        is_right=bool(i % 2),
        bbox_xyxy=np.array([16, 16, 48, 48], np.float32),
        keypoints_2d=np.column_stack((keypoints, np.ones(21))).astype(np.float32),
        source="toy",
        key=f"k{i}",
    )


def _recorder(calls: list, result: Any) -> Any:
    def record(*args: Any, **keys: Any) -> Any:
        calls.append((args, keys))
        return result

    return record


def test_synth_crops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list = []
    monkeypatch.setattr(
        "wilor_yolo.synth.generate_crops.generate_crops", _recorder(calls, ["a", "b"])
    )
    keys = ["out=o", "count=5", "seed=2", "workers=3", "size=128", "photos=p", "rays=9"]
    assert main(["synth", "crops", *keys]) == 0
    assert calls == [((Path("o"), 5, 2, 3, 128, "p", 9), {})]
    assert "2 shards in o" in capsys.readouterr().out


def test_synth_scenes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list = []
    made = SimpleNamespace(written=4, skipped=1)
    monkeypatch.setattr("wilor_yolo.synth.generate_scenes.generate_scenes", _recorder(calls, made))
    keys = ["out=o", "count=5", "seed=2", "workers=3", "size=128", "start=7"]
    assert main(["synth", "scenes", *keys]) == 0
    assert main(["synth", "scenes", *keys, "kinds=[focus, table]"]) == 0
    assert [call[0][:6] for call in calls] == [("o", 5, 2, 3, 128, 7)] * 2
    assert [call[0][6] for call in calls] == [tuple(KINDS), ("focus", "table")]
    assert "4 scenes written to o, 1 were there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["synth", "crops", "count=2"], "synth crops needs out="),
        (["synth", "scenes", "out=o", "count=2", "rays=2"], "synth scenes has no key 'rays'"),
        (["reconstruct", "train", "dta=x"], "unknown training key 'dta'. Did you mean 'data'?"),
        (["reconstruct", "train", "losses.beta=1"], "Did you mean 'betas'?"),
        (["reconstruct", "train", "data=[a"], "the value is no yaml"),
        (["reconstruct", "train", "steps=1", "steps=2"], "steps is given twice"),
        (["reconstruct", "train", "data=x"], "init= (config=default: landmarks.pt"),
        (["reconstruct", "train", "config=gone"], "no training config 'gone'"),
        (["reconstruct", "val", "data=nowhere", "weights=gone.safetensors"], "gone.safetensors"),
        (["evaluate", "detection"], "evaluate detection needs data="),
        (["bench", "source=gone.jpg"], "gone.jpg does not exist"),
        (["bench", "rounds=0"], "rounds=0 should be a whole number from 1 up"),
    ],
)
def test_mistakes(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_reconstruct_train(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list = []
    result = SimpleNamespace(
        step=3, crops_per_second=7.0, weights=tmp_path / "w", errors={"a": "b"}
    )

    class Trainer:
        def __init__(self, config: Any) -> None:
            seen.append(config)

        def fit(self) -> Any:
            return result

    monkeypatch.setattr("wilor_yolo.reconstruct.trainer.ReconstructorTrainer", Trainer)
    keys = ["data=[{path: x, weight: 2}, y]", "steps=3", "frozen=[]", "losses.betas=0.5", "lr=1e-4"]
    assert main(["reconstruct", "train", *keys]) == 0
    config = seen[0]
    assert [(g.path, g.weight) for g in config.data] == [("x", 2), ("y", None)]
    assert (config.steps, config.frozen, config.losses.betas, config.lr) == (3, (), 0.5, 1e-4)
    assert "3 steps, 7 crops/s" in capsys.readouterr().out


def test_reconstruct_val(
    tmp_path: Path, tiny_reconstructor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shards([_sample(i) for i in range(5)], tmp_path)
    command = ["reconstruct", "val", f"data={tmp_path}", f"weights={tiny_reconstructor}"]
    assert main([*command, "samples=4", "batch=3"]) == 0
    output = capsys.readouterr().out
    assert "4 samples" in output and "toy                  n=4" in output
    shipped = ["weights=reconstructor-s.safetensors", "samples=1"]  # by its bare name, as elsewhere
    assert main(["reconstruct", "val", f"data={tmp_path}", *shipped]) == 0
    assert "1 samples" in capsys.readouterr().out


def test_evaluate_detection(
    tmp_path: Path, painter: Any, blobs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), painter([("left", 20, 30, 80, 110)]))
    (tmp_path / "labels.jsonl").write_text(
        '{"file": "a.png", "source": "toy", "width": 320, "height": 240, '
        '"boxes_xyxy": [[20, 30, 80, 110]], "boxes_complete": true}\n',
        encoding="utf-8",
    )
    keys = [f"data={tmp_path}", "imgsz=160", "seconds=0"]
    assert main(["evaluate", "detection", *keys]) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert row[:5] == ["toy", "1", "1", "1.000", "1.000"]
    assert blobs[0].seen[0][1]["imgsz"] == 160


def test_evaluate_reconstruction(
    tmp_path: Path, painter: Any, tiny_reconstructor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), painter([("left", 20, 30, 80, 110)]))
    points = np.random.default_rng(0).uniform(20, 100, (21, 2)).tolist()
    record = {
        "file": "a.png",
        "source": "toy",
        "width": 320,
        "height": 240,
        "mediapipe": [{"side": "left", "score": 0.99, "keypoints_px": points}],
    }
    (tmp_path / "labels.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    keys = [f"data={tmp_path}", f"reconstructor={tiny_reconstructor}"]
    assert main(["evaluate", "reconstruction", *keys]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["toy", "1"]

    write_shards([_sample(i) for i in range(3)], tmp_path / "shards")
    keys = [f"data={tmp_path / 'shards'}", f"reconstructor={tiny_reconstructor}", "limit=2"]
    assert main(["evaluate", "reconstruction", *keys]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["toy", "2"]


def test_evaluate_reconstruction_poses_the_truth_with_the_network_s_hand(
    tmp_path: Path, tiny_reconstructor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list = []
    monkeypatch.setattr("wilor_yolo.evaluate.reconstruction.evaluate_shards", _recorder(calls, ""))
    with np.load(shipped(FREE_HAND)) as arrays:
        other = {**arrays, "v_template": arrays["v_template"] * np.float32(1.1)}
    np.savez(tmp_path / "other_right.npz", **other)
    command = ["evaluate", "reconstruction", f"data={tmp_path}"]
    command.append(f"reconstructor={tiny_reconstructor}")
    assert main([*command, f"hand_model={tmp_path / 'other_right.npz'}"]) == 0
    assert main(command) == 0
    templates = [args[2].v_template.numpy() for args, _ in calls]
    assert np.array_equal(templates[0], other["v_template"])
    assert np.array_equal(templates[1], load_hand_model().v_template)


def test_bench(
    tiny_detector: Path, tiny_reconstructor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [f"detector={tiny_detector}", f"reconstructor={tiny_reconstructor}", "imgsz=64"]
    assert main(["bench", *keys, "rounds=2"]) == 0
    output = capsys.readouterr().out
    assert "zidane.jpg, 1280x720 px, 0 hands, detector at 64 px" in output
    assert float(output.splitlines()[-1].split()[1]) > 0


def test_measure_chain_with_given_boxes(blob_finder: Any, tiny_reconstructor: Path) -> None:
    from wilor_yolo.reconstruct.predictor import HandReconstructor

    boxes = np.array([[10, 10, 50, 50, 0.9, 0], [60, 20, 90, 70, 0.8, 1]])
    picture = np.full((100, 100, 3), 90, np.uint8)
    speed = measure_chain(
        blob_finder, HandReconstructor(tiny_reconstructor), picture, rounds=3, boxes=boxes
    )
    assert speed.hands == 2
    assert len(blob_finder.seen) == 3 + 5
    expected = 1e3 / (speed.detect + speed.reconstruct)
    assert speed.pictures_per_second == pytest.approx(expected, rel=0.9)


def test_train_takes_text_as_it_is_typed() -> None:
    from wilor_yolo.cli.reconstruct import _yaml_pairs

    read = _yaml_pairs(["out=2026-11-28", "data=007", "init=null", "steps=007", "frozen=[]"])
    assert read == {"out": "2026-11-28", "data": "007", "init": None, "steps": 7, "frozen": []}
