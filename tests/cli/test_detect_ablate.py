from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from wilor_yolo.cli import detect_ablate
from wilor_yolo.cli.main import main
from wilor_yolo.detect.ablation import GRIDS, load_grid, look_at_training_set, plan_row
from wilor_yolo.detect.ablation_table import RowResult, format_table, read_result
from wilor_yolo.errors import HandError
from wilor_yolo.yaml_files import shipped_names

HAND = " ".join(["0", "0.5", "0.5", "0.4", "0.4", *["0.5 0.5 2"] * 21])


def _write_set(root: Path, count: int) -> str:
    rng = np.random.default_rng(count)
    for part, number in (("train", count), ("val", 2)):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        for i in range(number):
            picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
            cv2.imwrite(str(root / "images" / part / f"{i:02d}.png"), picture)
            label = HAND if i % 2 else "1" + HAND[1:]
            (root / "labels" / part / f"{i:02d}.txt").write_text(label + "\n", encoding="utf-8")
    text = f"path: {root.resolve()}\ntrain: images/train\nval: images/val\nkpt_shape: [21, 3]\n"
    yaml = root / "data.yaml"
    yaml.write_text(text + "names: {0: left, 1: right}\n", encoding="utf-8")
    return str(yaml)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _write_set(Path("whim"), 16)
    _write_set(Path("oxford"), 5)
    return tmp_path


BASE = {"model": "yolo11n-hand-pose.yaml", "data": "whim/data.yaml", "batch": 4, "imgsz": 64}
WORDS = [f"{key}={value}" for key, value in BASE.items()]


def test_shipped_grids_plan(place: Path) -> None:
    assert shipped_names(GRIDS) == ["ours", "table2"]
    seen: dict[Any, Any] = {}
    plans = {}
    for row in load_grid("table2"):
        if row.data:
            with pytest.raises(HandError, match=r"give oxford-hands\.data=PATH"):
                plan_row(row, BASE, "out", 40, seen)
        else:
            plans[row.name] = plan_row(row, BASE, "out", 40, seen)
    assert len(plans) == 8 and len({plan.hash for plan in plans.values()}) == 8
    # Equal budgets: the smaller the share of the data, the more epochs.
    assert [
        (plans[name].training_set.pictures, plans[name].settings["epochs"], plans[name].batches)
        for name in ("quarter-million", "half-million", "million", "full")
    ] == [(2, 40, 1), (4, 40, 1), (8, 20, 2), (16, 10, 4)]
    assert plans["resnet50"].settings["model"] == "resnet50-hand-pose.yaml"
    assert plans["without-landmarks"].settings["keypoint_loss"] == "none"
    assert plans["without-augmentations"].settings["mosaic"] == 0
    for row in load_grid("ours"):
        plans["ours " + row.name] = plan_row(row, BASE, "out", 40, seen)
    assert plans["ours full"].hash == plans["full"].hash
    assert len(seen) == 4  # each training set is read once


def test_the_papers_numbers_are_those_of_table_2() -> None:
    rows = {row.name: row.paper for row in load_grid("table2")}
    assert rows["full"] == {
        "oxford_ap50": 82.64, "oxford_map": 48.98, "whim_ap50": 96.06, "whim_map": 53.79, "mb": 25
    }  # fmt: skip
    assert all(set(row) >= set(rows["hrnet"]) - {"mb"} for row in rows.values())


def test_hashes_say_what_matters(place: Path) -> None:
    row = load_grid("ours")[0]
    plan = plan_row(row, BASE, "out")
    same = plan_row(row, {**BASE, "device": "cpu", "workers": 0, "mask_prob": 0.3}, "elsewhere")
    assert same.hash == plan.hash  # 0.3 is the network's own
    for change in (
        {"lr0": 0.1},
        {"mask_prob": 0.2},
        {"seed": 1},
        {"model": "yolo11s-hand-pose.yaml"},
    ):
        assert plan_row(row, {**BASE, **change}, "out").hash != plan.hash
    before = look_at_training_set("whim/data.yaml", 1.0)
    assert before.hands == before.pictures == 16
    label = Path("whim/labels/train/03.txt")
    label.write_text("1" + label.read_text()[1:])
    assert look_at_training_set("whim/data.yaml", 1.0).hash != before.hash
    assert look_at_training_set("whim/data.yaml", 0.5).pictures == 8


def test_table() -> None:
    done = RowResult(
        "full", "all", "abc", 0, "done", 10, 1.5, 8, 9, "def", 100, 6.2, 3.0,
        {"whim": {"ap50": 0.5, "map": 0.25, "ap50_any": 0.75, "map_any": 0.5}},
        {"oxford_ap50": 82.64, "oxford_map": 48.98, "whim_ap50": 96.06, "whim_map": 53.79},
    )  # fmt: skip
    lost = RowResult("lost", "gone", "", 0, "no data")
    text = format_table([done, lost])
    assert "| all  | 50.00" in text and "82.64/48.98" in text and "96.06/53.79" in text
    assert text.endswith("lost: no data") and "abc" in text and "def" in text


def _table(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return {row["row" if "row" in row else "name"]: row for row in csv.DictReader(handle)}


def test_rows_go_on_where_they_were(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trainings and measurements are replaced; what is run, and in which order, is ours."""
    ran: list[list[str]] = []
    trained: set[str] = set()

    def train(words: list[str]) -> str | None:
        ran.append(words)
        folder = Path(words[0].partition("=")[2]).parent
        name = folder.parent.name if folder.name == "weights" else folder.name
        if name == "hrnet" and words[0].startswith("cfg="):
            (folder / "weights").mkdir()
            (folder / "weights" / "last.pt").touch()
            return "killed by signal 9 (out of memory?)"
        trained.add(name)
        return None

    def measure(plan: Any, test_sets: dict[str, str]) -> RowResult:
        result = read_result(plan, "done")
        assert list(test_sets) == ["whim", "oxford"]
        (plan.folder / "result.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
        return result

    monkeypatch.setattr(detect_ablate, "_train", train)
    monkeypatch.setattr("wilor_yolo.detect.ablation_table.measure", measure)
    monkeypatch.setattr(
        "wilor_yolo.detect.ablation_table.is_trained", lambda plan: plan.row.name in trained
    )
    words = [
        "detect",
        "ablate",
        *WORDS,
        "steps=4",
        "out=abl",
        "test=[whim/data.yaml,oxford/data.yaml]",
    ]
    words += ["rows=[oxford-hands,hrnet,full]"]
    assert main(words) == 1
    rows = _table(Path("abl/ablation.csv"))
    assert list(rows) == ["oxford-hands", "hrnet", "full"]
    assert "oxford-hands.data=PATH" in rows["oxford-hands"]["state"]
    assert "signal 9" in rows["hrnet"]["state"] and rows["full"]["state"] == "done"
    config = json.loads(Path("abl/full/train.yaml").read_text())
    assert config["epochs"] == 1 and config["val"] is False and config["name"] == "full"

    del ran[:]
    words += ["oxford-hands.data=oxford/data.yaml", "oxford-hands.batch=2"]
    assert main(words) == 0
    assert [w[0].partition("=")[0] for w in ran] == ["cfg", "resume"]
    config = json.loads(Path("abl/oxford-hands/train.yaml").read_text())
    assert config["data"].endswith("oxford/data.yaml") and config["batch"] == 2
    assert config["epochs"] == 1  # 4 steps of 2 pictures: 3 a round
    assert "full: done before" in capsys.readouterr().out
    assert main([*words, "lr0=0.5"]) == 1  # the folders belong to the other plan
    assert "other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_a_toy_grid(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two real trainings in processes of their own, one of them of another network."""
    (place / "grid.yaml").write_text(
        "rows:\n"
        "  half: {title: half the data, train: {fraction: 0.5}, paper: {mb: 25}}\n"
        "  v8: {title: YOLOv8, model: yolov8n-hand-pose.yaml, train: {keypoint_loss: none}}\n"
        "  wild: {title: a wrong key, train: {optimizer: Magic}}\n",
        encoding="utf-8",
    )
    words = ["detect", "ablate", "grid=grid.yaml", *WORDS, "steps=4", "out=abl", "workers=0"]
    assert main(words) == 1
    rows = _table(Path("abl/ablation.csv"))
    for name, pictures in (("half", "8"), ("v8", "16")):
        assert rows[name]["state"] == "done" and rows[name]["steps"] == "4"
        assert rows[name]["pictures"] == pictures and rows[name]["seed"] == "0"
        assert 0 <= float(rows[name]["whim map"]) <= float(rows[name]["whim ap50"]) <= 1
        assert float(rows[name]["whim ap50_any"]) >= 0 and float(rows[name]["megabytes"]) > 5
    assert "Magic" in rows["wild"]["state"]
    assert len({rows[name]["hash"] for name in rows}) == 3
    capsys.readouterr()
    assert main([*words, "rows=[half,v8]"]) == 0
    assert "half: done before" in capsys.readouterr().out
