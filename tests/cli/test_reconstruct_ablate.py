from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wilor_yolo.cli import reconstruct_ablate
from wilor_yolo.cli.main import main
from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.ablation import grid_names, load_grid, plan_row
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.samples import HandSample
from wilor_yolo.shards import write_shards

pytest.importorskip("lightning_fabric")

NETWORK = "{image_size: 32, visible: 1.0, patch_size: 16, dim: 32, depth: 1, heads: 2, scales: 2}"
GRID = """
rows:
  full: {title: all of it}
  flat: {title: no refinement, network: {scales: 0}, paper: {pa_mpjpe: 6.1}}
  wild: {title: too fast, train: {lr: 1.0e+30}}
  lost: {title: another mix, data: nowhere.yaml}
  fake: {title: no real pictures, without_data: real*}
"""


def _sample(i: int, source: str) -> HandSample:
    rng = np.random.default_rng(i)
    keypoints = np.ones((21, 3), np.float32)
    keypoints[:, :2] = rng.uniform(20, 70, (21, 2))
    joints = rng.normal((0, 0, 0.6), 0.05, (21, 3))
    return HandSample(
        image=rng.integers(0, 256, (90, 90, 3), np.uint8),
        is_right=i % 2 > 0,
        bbox_xyxy=np.array([20, 20, 70, 70], np.float32),
        keypoints_2d=keypoints,
        source=source,
        key=f"s{i}",
        keypoints_3d=joints,
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_shards([_sample(i, "synth") for i in range(6)], "shards/synth")
    write_shards([_sample(10 + i, "real") for i in range(4)], "shards/real_a")
    write_shards([_sample(20 + i, "held") for i in range(3)], "shards/val")
    Path("net.yaml").write_text(NETWORK)
    Path("grid.yaml").write_text(GRID)
    return tmp_path


KEYS = [
    "reconstruct", "ablate", "grid=grid.yaml", "out=abl", "network=net.yaml", "frozen=[]",
    "pretrained=[]", "data=[shards/synth, shards/real_a]", "val=shards/val", "steps=2",
    "batch_size=4", "threads=1", "accelerator=cpu", "losses.maps=0", "tensorboard=false",
    "val_pictures=0",
]  # fmt: skip


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Rows train in this process, which saves starting one for each."""
    from wilor_yolo.reconstruct.train_config import TrainConfig
    from wilor_yolo.reconstruct.trainer import ReconstructorTrainer

    ran: list[Path] = []

    def train(config: Path) -> str | None:
        ran.append(config)
        try:
            ReconstructorTrainer(TrainConfig.from_yaml(config)).fit()
        except HandError as error:
            return str(error)
        return None

    monkeypatch.setattr(reconstruct_ablate, "_train", train)
    return ran


def _table(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="") as handle:
        return {row["row"]: row for row in csv.DictReader(handle)}


def test_rows_fail_alone_and_the_rest_is_not_run_again(
    place: Path, in_process: list[Path], capsys: Any
) -> None:
    assert main(KEYS) == 1
    rows = _table(Path("abl/ablation.csv"))
    assert list(rows) == ["full", "flat", "wild", "lost", "fake"]
    done = {name for name, row in rows.items() if row["state"] == "done"}
    assert done == {"full", "flat", "fake"}
    assert "not finite" in rows["wild"]["state"] and "nowhere.yaml" in rows["lost"]["state"]
    for name in ("full", "flat", "fake"):
        assert rows[name]["steps"] == "2" and rows[name]["seed"] == "0"
        assert float(rows[name]["held pa_mpjpe"]) > 0
    assert len({rows[name]["config_hash"] for name in ("full", "flat", "fake", "wild")}) == 4
    assert rows["full"]["data_hash"] == rows["flat"]["data_hash"] != rows["fake"]["data_hash"]
    assert (rows["full"]["samples"], rows["fake"]["samples"]) == ("10", "6")
    markdown = Path("abl/ablation.md").read_text()
    assert "| all of it" in markdown and "6.1" in markdown and "wild: " in markdown

    Path("nowhere.yaml").write_text("data: [{path: shards/synth, weight: 1.0}]")
    del in_process[:]
    assert main([*KEYS, "wild.lr=1e-3"]) == 1  # the folder holds the other plan
    assert [path.parent.name for path in in_process] == ["lost"]
    rows = _table(Path("abl/ablation.csv"))
    assert rows["lost"]["state"] == "done" and "other settings" in rows["wild"]["state"]
    assert "full: done before" in capsys.readouterr().out
    assert main([*KEYS, "rows=[full, fake]"]) == 0


def test_mistakes(place: Path, capsys: Any) -> None:
    for change, message in (
        ("grid=table6", "ours, table5"),
        ("rows=fulll", "Did you mean 'full'"),
        ("val=[]", "give val="),
        ("stepz=3", "unknown training key"),
    ):
        name = change.partition("=")[0] + "="
        assert main([*(k for k in KEYS if not k.startswith(name)), change]) == 2
        assert message in capsys.readouterr().err
    Path("grid.yaml").write_text("rows: {a: {nets: 1}}")
    assert main(KEYS) == 2 and "unknown keys nets" in capsys.readouterr().err
    Path("grid.yaml").write_text("rows: {a: {}, b: {train: {init: null}}}")
    assert main(KEYS) == 2 and "rows a and b are the same training" in capsys.readouterr().err
    assert not Path("abl").exists()


def test_validation_shards_may_stand_in_the_training_file(
    place: Path, in_process: list[Path]
) -> None:
    Path("training.yaml").write_text("val: [shards/val]")
    keys = [key for key in KEYS if not key.startswith("val=")]
    assert main([*keys, "config=training.yaml", "rows=full"]) == 0
    assert float(_table(Path("abl/ablation.csv"))["full"]["held pa_mpjpe"]) > 0


@pytest.mark.slow
def test_rows_run_in_processes_of_their_own(place: Path, capsys: Any) -> None:
    assert main([*KEYS, "rows=[full, wild]"]) == 1
    rows = _table(Path("abl/ablation.csv"))
    assert rows["full"]["state"] == "done" and "not finite" in rows["wild"]["state"]
    assert "2 steps" in capsys.readouterr().out


def test_shipped_grids() -> None:
    """They plan, and Table 5's rows are the networks that ship under these names."""
    assert grid_names() == ["ours", "table5", "trunks"]
    base = {"network": "hybrid-s", "init": "start.pt", "val": ["v"]}
    base["data"] = [{"path": "x/synth", "weight": 1}, {"path": "x/real_crops", "weight": 1}]
    rows = {row.name: plan_row(row, base, "out", "shards") for row in load_grid("table5")}
    assert len(rows) == 7 and all(plan.row.paper["f5"] for plan in rows.values())
    for row, shipped in (
        ("fastvit", "fastvit"),
        ("single-scale", "single-scale"),
        ("without-refinement", "no-refinement"),
        ("full", "hybrid-s"),
    ):
        wanted = NetworkConfig.from_yaml(shipped)
        # Heads say nothing without a transformer.
        assert replace(rows[row].network, heads=wanted.heads) == wanted
    assert rows["without-vitpose"].config.init is None
    assert [g.path for g in rows["freihand"].config.data] == ["shards/freihand"]
    assert len(rows["hamer-mix"].config.data) == 10
    for row in load_grid("table5"):  # the paper's rows with the shipped network, too
        plan_row(row, {"data": "shards", "init": "start.pt"}, "out", "shards")
    for row in load_grid("ours"):
        plan_row(row, {**base, "network": "landmark-s"}, "out")  # of the default training
    ours = {row.name: plan_row(row, base, "out") for row in load_grid("ours")}
    assert [g.path for g in ours["without-real"].config.data] == ["x/synth"]
    assert ours["released-sampling"].network.sampling == "released"
    assert ours["without-adversarial"].config.losses.adversarial == 0
    assert len({plan.hash for plan in (*rows.values(), *ours.values())}) == 7 + 7 - 3
    elsewhere = plan_row(load_grid("ours")[0], base, "other")
    assert elsewhere.hash == ours["full"].hash
    trunks = {row.name: plan_row(row, base, "out") for row in load_grid("trunks")}
    assert trunks["yolo"].network == NetworkConfig.from_yaml("yolo-s")
    assert trunks["yolo"].config.losses.maps > 0  # teaches its keypoint tokens
    assert {plan.network.stem for plan in trunks.values()} == {
        "hand-landmarks", "yolo11n", "mobilenetv2_100", "patch"
    }  # fmt: skip
