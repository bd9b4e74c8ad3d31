from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from wilor_yolo.cli.main import main
from wilor_yolo.detect.options import HandOptions
from wilor_yolo.detect.sheet import draw_hands, training_sheet
from wilor_yolo.detect.sides import UNSURE_CLASS
from wilor_yolo.skeleton import LEFT, RIGHT, SIDE_COLOURS

SMALL = {"imgsz": 96}


def test_sheet_has_a_tile_a_picture_and_depends_on_the_seed(toy_set) -> None:
    sheet = training_sheet(str(toy_set.yaml), HandOptions(), SMALL, count=5, columns=3)
    tile = 480 // 96 * 96
    assert sheet.shape == (2 * tile + 2, 3 * tile + 4, 3) and sheet.dtype == np.uint8
    assert (sheet[tile + 2 :, 2 * tile + 4 :] == 0).all()  # the place of the sixth
    again = training_sheet(str(toy_set.yaml), HandOptions(), SMALL, count=5, columns=3)
    other = training_sheet(str(toy_set.yaml), HandOptions(), {**SMALL, "seed": 1}, 5, 3)
    assert (again == sheet).all() and (other != sheet).any()


def test_labels_lie_where_the_batch_says() -> None:
    """Boxes in the colour of the side; joints that nobody knows are not drawn."""
    for side, colour in ((LEFT, SIDE_COLOURS[LEFT]), (RIGHT, SIDE_COLOURS[RIGHT])):
        image = np.zeros((100, 200, 3), np.uint8)
        keypoints = torch.zeros(1, 21, 3)
        keypoints[0, 0] = torch.tensor([0.5, 0.4, 2.0])
        box = torch.tensor([[0.5, 0.5, 0.4, 0.6]])
        draw_hands(image, torch.tensor([[float(side)]]), box, keypoints)
        assert (image[50, 60] == colour[::-1]).all() and (image[20, 100] == colour[::-1]).all()
        assert (image[40, 100] == 255).all()
        assert not image[:19].any() and not image[:, :59].any()
        assert not image[60:75, 90:110].any()
    image = np.zeros((100, 200, 3), np.uint8)
    draw_hands(image, torch.tensor([UNSURE_CLASS]), box, torch.zeros(1, 21, 3))
    blue, green, red = image[50, 60].tolist()
    assert blue == green == red > 0


def test_a_flipped_hand_is_drawn_as_the_other_side(toy_set) -> None:
    """fliplr=1 against 0, nothing else: the mirrored picture with the colours swapped."""
    still = {**SMALL, "mosaic": 0.0, "mixup": 0.0, "degrees": 0.0, "translate": 0.0, "scale": 0.0}
    still |= {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
    options = HandOptions(mask_prob=0.0)
    sheets = [
        training_sheet(str(toy_set.yaml), options, {**still, "fliplr": flip}, 12, 1)
        for flip in (0.0, 1.0)
    ]
    blue, orange = ((np.array(SIDE_COLOURS[side][::-1])) for side in (LEFT, RIGHT))
    count = [[int((sheet == c).all(-1).sum()) for c in (blue, orange)] for sheet in sheets]
    assert count[0][0] > 0 and abs(count[0][0] - count[0][1]) > 50
    assert np.allclose(count[0], count[1][::-1], rtol=0.1)


def test_command(toy_set, tmp_path: Path, capsys) -> None:
    out = tmp_path / "sheet.jpg"
    words = [
        f"data={toy_set.yaml}",
        "imgsz=96",
        "count=4",
        "columns=2",
        "mask_prob=1",
        "degrees=10",
    ]
    assert main(["detect", "sheet", *words, f"out={out}"]) == 0
    assert cv2.imread(str(out)).shape == (962, 962, 3)
    assert "4 training pictures" in capsys.readouterr().out
