"""Every data YAML in `datasets/` describes hands the way the detector wants them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from wilor_yolo.detect.dataset import check_hand_data
from wilor_yolo.metrics.detection import KEYPOINT_SIGMAS

FOLDER = Path(__file__).parents[2] / "datasets"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.name)
def test_data_yaml(file: Path) -> None:
    data = yaml.safe_load(file.read_text())
    check_hand_data(data | {"yaml_file": str(file)})
    assert data["nc"] == 2 and data["train"] and data["val"]
    assert tuple(data["kpt_oks_sigmas"]) == KEYPOINT_SIGMAS
