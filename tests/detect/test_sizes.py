from __future__ import annotations

import io

import pytest
import torch
from ultralytics.nn.tasks import PoseModel, yaml_model_load

from wilor_yolo.cli.main import main
from wilor_yolo.detect.presets import MODEL_YAMLS
from wilor_yolo.detect.sizes import PAPER_MEGABYTES, model_size


def test_size_is_that_of_the_stock_network() -> None:
    """Parameters as in stock with our head; a file of two bytes a parameter; work by area."""
    size = model_size("yolo11n-hand-pose.yaml", 320)
    stock = yaml_model_load("yolo11n-pose.yaml") | {"nc": 2, "kpt_shape": [21, 3]}
    count = sum(p.numel() for p in PoseModel(stock, verbose=False).parameters())
    assert size.parameters == count
    assert 2 * count < size.megabytes * 1e6 < 2.3 * count
    assert model_size("yolo11n-hand-pose.yaml", 640).gflops == pytest.approx(
        4 * size.gflops, rel=0.02
    )


def test_file_size_is_that_of_a_release(trained, tmp_path) -> None:
    from wilor_yolo.detect.release import release_checkpoint

    release_checkpoint(trained / "weights" / "best.pt", tmp_path / "out.pt")
    file = io.BytesIO((tmp_path / "out.pt").read_bytes())
    size = model_size("yolo11n-hand-pose.yaml", 64)
    assert size.megabytes * 1e6 == pytest.approx(file.getbuffer().nbytes, rel=0.02)


def test_command(capsys) -> None:
    assert main(["detect", "sizes", "model=[yolo11n-hand-pose.yaml,yolov8n-hand-pose.yaml]"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 + 2 + len(PAPER_MEGABYTES)
    assert "GFLOPs at 640" in lines[0] and "yolov8n-hand-pose.yaml" in lines[3]
    assert "paper: Proposed-M" in lines[5] and "25" in lines[5]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_YAMLS)
def test_every_network_can_be_measured(name: str) -> None:
    size = model_size(name, 64)
    assert (
        size.parameters > 2e6 and size.gflops > 0.05 and torch.isfinite(torch.tensor(size.gflops))
    )
