from __future__ import annotations

import torch

from wilor_yolo.detect.validator import HandValidator


def test_a_hand_of_unknown_side_takes_the_surest_prediction_on_it() -> None:
    box = torch.tensor([[10.0, 10, 50, 50]])
    pred = {
        "bboxes": torch.tensor([[60.0, 60, 90, 90], [12, 10, 50, 52]]),
        "cls": torch.tensor([0.0, 1.0]),
    }
    assert HandValidator._predicted_side(box, pred) == 1.0
    two = {  # surest first; the unsure one fits a little better
        "bboxes": torch.tensor([[12.0, 10, 50, 52], [10, 10, 50, 50]]),
        "cls": torch.tensor([0.0, 1.0]),
    }
    assert HandValidator._predicted_side(box, two) == 0.0
    away = {"bboxes": torch.tensor([[60.0, 60, 90, 90]]), "cls": torch.tensor([1.0])}
    assert HandValidator._predicted_side(box, away) == 0.0
    empty = {"bboxes": torch.zeros(0, 4), "cls": torch.zeros(0)}
    assert HandValidator._predicted_side(box, empty) == 0.0


def test_boxes_in_pixels() -> None:
    box = HandValidator._pixels(torch.tensor([0.5, 0.5, 0.2, 0.4]), torch.Size([1, 3, 100, 200]))
    torch.testing.assert_close(box, torch.tensor([[80.0, 30.0, 120.0, 70.0]]))
