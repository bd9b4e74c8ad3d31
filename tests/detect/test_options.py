from __future__ import annotations

import pytest

from wilor_yolo.detect.options import HandOptions
from wilor_yolo.errors import HandError


def test_round_trip_through_a_model_yaml() -> None:
    options = HandOptions(keypoint_loss="none", mask_prob=0.5, tighten_boxes=False)
    written = options.to_model_yaml({"nc": 2, "hand": {"mask_prob": 0.1}})
    assert written["nc"] == 2
    assert HandOptions.from_model_yaml(written) == options


def test_defaults_without_a_block() -> None:
    assert HandOptions.from_model_yaml({"nc": 2}) == HandOptions()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"keypoint_loss": "l1"}, "choose one of l2, oks, none"),
        ({"mask_prob": 1.5}, "between 0 and 1"),
        ({"turn_prob": -0.1}, "turn_prob=-0.1 is not a probability"),
        ({"mask_probability": 0.5}, "the keys are keypoint_loss, mask_prob, tighten_boxes"),
    ],
)
def test_bad_blocks(block: dict, message: str) -> None:
    with pytest.raises(HandError, match=message):
        HandOptions.from_model_yaml({"hand": block})
