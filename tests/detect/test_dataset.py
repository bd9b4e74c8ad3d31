from __future__ import annotations

import inspect
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset, load_dataset_cache_file

from wilor_yolo.detect.augment import HandFlip, HandMask, HandPerspective, HandTurn
from wilor_yolo.detect.dataset import (
    HandDataset,
    build_hand_dataset,
    check_hand_data,
    refuse_reflections,
)
from wilor_yolo.detect.label_cache import read_label_cache
from wilor_yolo.detect.options import HandOptions
from wilor_yolo.detect.presets import training_preset
from wilor_yolo.detect.sides import UNSURE_CLASS
from wilor_yolo.detect.trainer import no_font_download
from wilor_yolo.errors import HandError


def make(toy, options: HandOptions | None = None, mode: str = "train", **settings) -> HandDataset:
    cfg = get_cfg(
        overrides={**training_preset(), "imgsz": 96, "task": "pose", "mode": "train", **settings}
    )
    with no_font_download():
        data = check_det_dataset(str(toy.yaml))
    return build_hand_dataset(
        cfg, data[mode], 4, data, options or HandOptions(), mode=mode, rect=False, stride=32
    )


def steps(dataset: HandDataset) -> list[type]:
    first = dataset.transforms.transforms[0]
    return [type(step) for step in (*first.transforms, *dataset.transforms.transforms[1:])]


def test_pipeline_has_our_steps_also_after_close_mosaic(toy_set) -> None:
    dataset = make(toy_set)
    for _ in range(2):
        kinds = Counter(steps(dataset))
        assert (kinds[HandFlip], kinds[HandPerspective], kinds[HandMask]) == (2, 1, 1)
        first, mixup = dataset.transforms.transforms[:2]
        assert mixup.pre_transform is first  # so mixed-in pictures get tight boxes too
        dataset.close_mosaic(get_cfg(overrides={**training_preset(), "mosaic": 0.0}))
    assert "flip_idx" not in check_det_dataset(str(toy_set.yaml))


@pytest.mark.parametrize("straight_end", [True, False])
def test_the_last_epochs_are_straight(toy_set, straight_end) -> None:
    dataset = make(toy_set, HandOptions(straight_end=straight_end))
    settings = get_cfg(overrides=training_preset())
    dataset.close_mosaic(settings)
    (perspective,) = (
        step
        for step in dataset.transforms.transforms[0].transforms
        if isinstance(step, HandPerspective)
    )
    assert perspective.degrees == (0.0 if straight_end else training_preset()["degrees"])


def test_options_switch_steps_off(toy_set) -> None:
    kinds = steps(make(toy_set, HandOptions(mask_prob=0.0, tighten_boxes=False)))
    assert HandMask not in kinds and HandPerspective not in kinds and HandFlip in kinds


def test_turns_are_an_option(toy_set) -> None:
    assert HandTurn not in steps(make(toy_set))
    kinds = steps(make(toy_set, HandOptions(turn_prob=0.5)))
    assert kinds.index(HandTurn) > max(i for i, kind in enumerate(kinds) if kind is HandFlip)


def test_stock_flips_keep_the_class(toy_set) -> None:
    """Only on request, to measure what they do."""
    assert HandFlip not in steps(make(toy_set, HandOptions(stock_flips=True)))


def test_fraction_is_spread_over_the_files(toy_set) -> None:
    """Stock takes the first files, which may all come from one source."""
    whole = [Path(file).stem for file in make(toy_set).im_files]
    half = [Path(file).stem for file in make(toy_set, fraction=0.5).im_files]
    quarter = [Path(file).stem for file in make(toy_set, fraction=0.25).im_files]
    assert half == whole[::2] and quarter == whole[::4]
    assert [Path(f).stem for f in make(toy_set, fraction=5).im_files] == [
        whole[i] for i in (0, 2, 4, 7, 9)
    ]


def test_validation_is_not_augmented(toy_set) -> None:
    dataset = make(toy_set, mode="val")
    assert not {HandFlip, HandMask} & {type(step) for step in dataset.transforms.transforms}


def test_single_class_does_not_swap(toy_set) -> None:
    dataset = make(toy_set, single_cls=True)
    assert HandFlip not in steps(dataset)
    assert all((dataset[i]["cls"] == 0).all() for i in range(6))


def test_unknown_sides_survive_everything(toy_set_unknown) -> None:
    """Through the label cache, mosaic, mixup, the affine's filter, flips and collation.

    Hands of unknown side have no keypoints in this set and the others have, so each row says
    whether its class still belongs to it.
    """
    random.seed(0)
    np.random.seed(0)
    for dataset in (
        make(toy_set_unknown, mixup=1.0, flipud=0.5),
        make(toy_set_unknown, mixup=0.5, cutmix=0.5),  # reads the cache the first one wrote
        make(toy_set_unknown, mosaic=0.0, mixup=0.0),
    ):
        seen: Counter[float] = Counter()
        for _ in range(4):
            batch = HandDataset.collate_fn([dataset[i] for i in range(len(dataset))])
            for side, keypoints in zip(batch["cls"].view(-1), batch["keypoints"], strict=True):
                seen[float(side)] += 1
                if side == UNSURE_CLASS:
                    assert (keypoints[:, 2] == 0).all()
            lost = batch["cls"].view(-1)[(batch["keypoints"][..., 2] > 0).any(-1)]
            assert set(lost.tolist()) <= {0.0, 1.0}
        assert set(seen) == {0.0, 0.5, 1.0} and min(seen.values()) > 5


def test_flip_swaps_sides_of_the_set(toy_set) -> None:
    """A mirrored stick hand must look like the side its class says."""
    random.seed(0)
    dataset = make(toy_set, HandOptions(mask_prob=0.0), mosaic=0.0, mixup=0.0, degrees=0.0)
    checked = 0
    for index in [*range(len(dataset))] * 3:
        sample = dataset[index]
        for side, keypoints in zip(sample["cls"].view(-1), sample["keypoints"], strict=True):
            if (keypoints[:, 2] > 0).all():
                thumb_right = keypoints[4, 0] > keypoints[20, 0]
                assert bool(thumb_right) == bool(side == 1)
                checked += 1
    assert checked > 20


def test_stock_ultralytics_refuses_unknown_sides(toy_set_unknown, tmp_path) -> None:
    """It skips such pictures with a message and never takes the hand for a left or right one."""
    cfg = get_cfg(overrides={"task": "pose", "imgsz": 96})
    with no_font_download():
        data = check_det_dataset(str(toy_set_unknown.yaml))
    ours = make(toy_set_unknown, mosaic=0.0)
    stock = build_yolo_dataset(cfg, data["train"], 4, data, mode="train")
    assert len(stock) < len(ours)
    kept = np.concatenate([label["cls"].ravel() for label in stock.labels])
    assert set(kept.tolist()) <= {0.0, 1.0}
    again = make(toy_set_unknown, mosaic=0.0)  # its cache must not be taken for ours
    assert len(again) == len(ours)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": {0: "right", 1: "left"}}, "names must be"),
        ({"names": {0: "hand"}}, "names must be.*add the line `sides: unknown`"),
        ({"names": ["hand"]}, "names must be"),
        ({"names": {0: "hand"}, "sides": "both"}, "sides: both should be"),
        ({"names": {0: "a", 1: "b"}, "sides": "unknown"}, "names must be"),
        ({"names": None}, "names must be"),
        ({"kpt_shape": [17, 3]}, "kpt_shape must be"),
        ({"kpt_shape": None}, "kpt_shape must be"),
        ({"flip_idx": list(range(21))}, "remove flip_idx"),
    ],
)
def test_bad_data_yaml(change: dict, message: str) -> None:
    data = {"names": {0: "left", 1: "right"}, "kpt_shape": [21, 3], "yaml_file": "mine.yaml"}
    check_hand_data(data)
    with pytest.raises(HandError, match=message) as caught:
        check_hand_data({**data, **change})
    assert "mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (" ".join(["0", *["0.5"] * 4, *["0.5 0.5 2"] * 20]), "20 keypoints"),
        (" ".join(["0", *["0.5"] * 4, *["nan 0.5 2"] * 21]), "NaN"),
        (" ".join(["0", *["0.5"] * 4, *["1.5 0.5 2"] * 21]), "outside the picture"),
        (" ".join(["3", *["0.5"] * 4, *["0.5 0.5 2"] * 21]), "class 3"),
        ("0 0.5 0.5 0.1", "4 values"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "val"])
def test_bad_labels_are_an_error(row: str, message: str, mode: str, own_toy_set) -> None:
    """Every time: a label cache must not hide them the second time."""
    toy = own_toy_set
    file = toy.root / "labels" / mode / "001.txt"
    good = file.read_text()
    file.write_text(f"{good}{row}\n")
    for _ in range(2):
        with pytest.raises(HandError, match=message) as caught:
            make(toy, mode=mode)
        assert "001.txt:" in str(caught.value) and "\n" not in str(caught.value)
    file.write_text(good)
    make(toy, mode=mode)


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_cache_from_somebody_else_runs_nothing(own_toy_set, tmp_path) -> None:
    toy, mark = own_toy_set, tmp_path / "mark"
    labels = make(toy).labels
    file = toy.root / "labels" / "train.cache"
    genuine = read_label_cache(file)
    assert genuine is not None
    with open(file, "wb") as handle:
        np.save(handle, {**genuine, "more": Touch(mark)}, allow_pickle=True)
    again = make(toy).labels
    assert not mark.exists()
    assert [label["im_file"] for label in again] == [label["im_file"] for label in labels]
    assert read_label_cache(file) is not None  # written anew
    with open(file, "wb") as handle:
        np.save(handle, {**genuine, "more": Touch(mark)}, allow_pickle=True)
    load_dataset_cache_file(file)
    assert mark.exists()  # the file does run code where it is let


def test_the_own_cache_spares_the_second_scan(own_toy_set, monkeypatch) -> None:
    first = make(own_toy_set).labels

    def scan(*arguments):
        raise AssertionError("scanned again")

    monkeypatch.setattr(HandDataset, "cache_labels", scan)
    for old, new in zip(first, make(own_toy_set).labels, strict=True):
        assert old.keys() == new.keys() and old["im_file"] == new["im_file"]
        for key in ("cls", "bboxes", "keypoints"):
            np.testing.assert_array_equal(old[key], new[key])


def test_torn_pictures_are_left_out_as_in_stock(own_toy_set) -> None:
    toy = own_toy_set
    toy.images[3].write_bytes(toy.images[3].read_bytes()[:100])
    assert len(make(toy)) == len(toy.images) - 1


def test_many_bad_files_are_counted(own_toy_set) -> None:
    toy = own_toy_set
    for file in (toy.root / "labels" / "train").glob("*.txt"):
        file.write_text("7" + file.read_text()[1:])
    with pytest.raises(HandError, match="and 9 more label files"):
        make(toy)


def test_a_set_of_one_class_has_no_sides(own_toy_set) -> None:
    """Declared with `sides: unknown`; its classes 0 are read as hands of either side."""
    toy = own_toy_set
    for file in toy.root.rglob("*.txt"):
        file.write_text("".join("0" + line[1:] for line in file.read_text().splitlines(True)))
    text = toy.yaml.read_text().replace("{0: left, 1: right}", "{0: hand}").replace("nc: 2\n", "")
    toy.yaml.write_text(text)
    with pytest.raises(HandError, match="sides: unknown"):
        make(toy)
    toy.yaml.write_text(f"{text}sides: unknown\n")
    dataset = make(toy)
    assert {float(v) for label in dataset.labels for v in label["cls"].ravel()} == {UNSURE_CLASS}
    assert dataset.data["names"] == {0: "left", 1: "right"} and dataset.data["nc"] == 2
    file = next((toy.root / "labels" / "train").glob("*.txt"))
    file.write_text("1" + file.read_text()[1:])
    with pytest.raises(HandError, match="0 in a set of one class"):
        make(toy)


def test_keywords_match_ultralytics() -> None:
    """`build_hand_dataset` repeats what `build_yolo_dataset` passes; notice when that changes."""
    known = set(inspect.signature(YOLODataset.__init__).parameters)
    known |= set(inspect.signature(YOLODataset.__mro__[1].__init__).parameters)
    source = inspect.getsource(build_yolo_dataset)
    call = source[source.rindex("return dataset(") :]
    stock = {line.split("=")[0].strip() for line in call.splitlines() if "=" in line}
    assert stock <= known
    ours = inspect.getsource(build_hand_dataset)
    ours = ours[ours.rindex("return HandDataset(") :]
    mine = {line.split("=")[0].strip() for line in ours.splitlines() if "=" in line}
    assert mine - {"options"} == stock


def test_batches_are_tensors(toy_set_unknown) -> None:
    dataset = make(toy_set_unknown)
    batch = HandDataset.collate_fn([dataset[i] for i in range(3)])
    assert batch["img"].shape == (3, 3, 96, 96) and batch["img"].dtype == torch.uint8
    assert batch["keypoints"].shape[1:] == (21, 3)


@pytest.mark.parametrize(
    "name", ["Flip", "HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry"]
)
def test_albumentations_may_not_mirror(name: str) -> None:
    nested = {
        "transform": {
            "__class_fullname__": "OneOf",
            "transforms": [{"__class_fullname__": name, "p": 0.5}],
        }
    }
    with pytest.raises(HandError, match=f"{name} mirrors hands"):
        refuse_reflections([nested])
    refuse_reflections([{"transform": {"__class_fullname__": "Blur"}}])
    refuse_reflections(None)


def test_the_data_set_checks_its_augmentations(toy_set) -> None:
    with pytest.raises(HandError, match="HorizontalFlip"):
        make(toy_set, augmentations=[{"transform": {"__class_fullname__": "HorizontalFlip"}}])
