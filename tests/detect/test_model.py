from __future__ import annotations

import copy
import inspect
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.nn.tasks import PoseModel, yaml_model_load
from ultralytics.utils import ROOT

from wilor_yolo.detect import presets
from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.presets import MODEL_YAMLS, read_model_yaml, training_preset
from wilor_yolo.detect.trainer import HandTrainer
from wilor_yolo.detect.validator import HandValidator
from wilor_yolo.detect.working_point import IMAGE_SIZE
from wilor_yolo.errors import HandError, WeightsError
from wilor_yolo.pipeline import HandPipeline
from wilor_yolo.weights_dir import shipped


@pytest.mark.parametrize("name", [name for name in MODEL_YAMLS if name.startswith("yolo")])
def test_sizes_have_as_many_parameters_as_stock(name: str) -> None:
    """Same layers as the stock pose model of that size once both have our head."""
    ours = read_model_yaml(name)
    stock = yaml_model_load(name.replace("-hand", ""))
    stock |= {"nc": ours["nc"], "kpt_shape": ours["kpt_shape"]}
    count = [
        sum(p.numel() for p in PoseModel(cfg, verbose=False).parameters()) for cfg in (ours, stock)
    ]
    assert count[0] == count[1]
    assert ours["scale"] == name.removeprefix("yolo11").removeprefix("yolov8")[0]


def test_default_names_and_yaml() -> None:
    detector = HandDetector("yolov8n-hand-pose.yaml")
    assert detector.task == "pose"
    assert detector.model.yaml["kpt_shape"] == [21, 3] and detector.model.yaml["nc"] == 2
    assert detector.task_map["pose"]["trainer"] is HandTrainer
    assert detector.task_map["pose"]["validator"] is HandValidator


def test_training_keeps_options_in_the_checkpoint(trained: Path) -> None:
    detector = HandDetector(trained / "weights" / "best.pt")
    assert detector.model.yaml["hand"] == {
        "keypoint_loss": "oks",
        "mask_prob": 0.7,
        "tighten_boxes": False,
        "turn_prob": 0.0,
        "straight_end": True,
        "stock_flips": False,
    }
    assert type(detector.model) is PoseModel
    assert detector.names == {0: "left", 1: "right"}
    assert detector.overrides["imgsz"] == 96


def test_finetuning_keeps_and_changes_options(trained: Path, toy_set, toy_settings, tmp_path):
    detector = HandDetector(trained / "weights" / "best.pt")
    toy_settings |= {"epochs": 1, "project": str(tmp_path), "name": "fine", "val": False}
    detector.train(data=str(toy_set.yaml), keypoint_loss="l2", **toy_settings)
    assert detector.model.yaml["hand"] == {
        "keypoint_loss": "l2",
        "mask_prob": 0.7,
        "tighten_boxes": False,
        "turn_prob": 0.0,
        "straight_end": True,
        "stock_flips": False,
    }
    # What the preset says is what was trained with.
    for key, value in training_preset().items():
        if key not in toy_settings:
            assert getattr(detector.trainer.args, key) == value


def test_pretrained_weights_are_taken(trained: Path, toy_set, toy_settings, tmp_path):
    """Also for a detector that comes from a YAML, where Ultralytics would rebuild the model."""
    start = trained / "weights" / "best.pt"
    detector = HandDetector("yolo11n-hand-pose.yaml")
    toy_settings |= {"epochs": 1, "lr0": 0.0, "optimizer": "SGD", "warmup_epochs": 0.0}
    seen = {}
    detector.add_callback(
        "on_train_start",
        lambda run: seen.update({k: v.clone() for k, v in run.model.state_dict().items()}),
    )
    detector.train(
        data=str(toy_set.yaml),
        pretrained=str(start),
        **toy_settings,
        val=False,
        project=str(tmp_path),
        name="pre",
    )
    expected = HandDetector(start).model.state_dict()
    assert all(torch.equal(seen[key], value) for key, value in expected.items())


class Stop(Exception):
    pass


def test_resume_keeps_options(toy_set, toy_settings, tmp_path) -> None:
    """A training that was killed goes on with our data set, criterion and options."""
    detector = HandDetector("yolo11n-hand-pose.yaml")

    def kill(trainer) -> None:
        if trainer.epoch == 1:
            raise Stop

    detector.add_callback("on_train_epoch_start", kill)
    toy_settings |= {"epochs": 2, "project": str(tmp_path), "name": "killed"}
    with pytest.raises(Stop):
        detector.train(data=str(toy_set.yaml), keypoint_loss="none", mask_prob=0.9, **toy_settings)
    last = tmp_path / "killed" / "weights" / "last.pt"
    again = HandDetector(last)
    found = {}

    def look(trainer) -> None:
        found["start"] = trainer.start_epoch
        found["loss"] = trainer.model.criterion.landmarks
        found["ema"] = trainer.ema.ema.criterion.landmarks
        found["options"] = trainer.train_loader.dataset._options

    again.add_callback("on_train_start", look)
    again.train(resume=True)
    assert found["start"] == 1
    assert found["loss"] is False and found["ema"] is False
    assert found["options"].mask_prob == 0.9 and found["options"].keypoint_loss == "none"
    assert again.trainer.epoch == 1
    with pytest.raises(HandError, match="mask_prob cannot change on resume"):
        HandDetector(last).train(resume=True, mask_prob=0.1)


@pytest.mark.parametrize(
    "name",
    ["yolo11n-hand-pose.yaml", pytest.param("yolov8n-hand-pose.yaml", marks=pytest.mark.slow)],
)
def test_families_train(name: str, toy_set_unknown, toy_settings, tmp_path) -> None:
    detector = HandDetector(name)
    detector.train(
        data=str(toy_set_unknown.yaml), **toy_settings, project=str(tmp_path), name="family"
    )
    log = (tmp_path / "family" / "results.csv").read_text().splitlines()
    columns = [name.strip() for name in log[0].split(",")]
    rows = [dict(zip(columns, map(float, line.split(",")), strict=True)) for line in log[1:]]
    assert len(rows) == 2
    assert rows[1]["train/pose_loss"] < rows[0]["train/pose_loss"]
    assert all(np.isfinite(list(row.values())).all() for row in rows)


@pytest.mark.slow
def test_overfits_and_tells_sides_apart(toy_set, toy_settings, tmp_path) -> None:
    """Enough steps on one small set, and it finds hands, sides and keypoints of that set."""
    detector = HandDetector("yolo11n-hand-pose.yaml")
    toy_settings |= {"epochs": 60, "lr0": 0.002, "close_mosaic": 30, "degrees": 20.0}
    detector.train(
        data=str(toy_set.yaml), **toy_settings, val=False, project=str(tmp_path), name="fit"
    )
    metrics = detector.val(data=str(toy_set.yaml), split="train", plots=False, verbose=False)
    assert metrics.box.map50 > 0.9


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "wilor_yolo":
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import numpy as np
from ultralytics import YOLO
from ultralytics.nn import tasks
assert tasks.SAFE_LOAD
model = YOLO(sys.argv[1])
assert model.names == {0: "left", 1: "right"}, model.names
result = model.predict(np.zeros((96, 96, 3), np.uint8), verbose=False)[0]
assert result.keypoints.data.shape[1:] == (21, 3)
assert "wilor_yolo" not in sys.modules
print("opened", type(model.model).__name__)
"""


def test_checkpoint_opens_in_stock_ultralytics(trained: Path, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", BLOCKED, str(trained / "weights" / "best.pt")],
        cwd=tmp_path,
        env={**os.environ, "ULTRALYTICS_SAFE_LOAD": "1", "YOLO_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "opened PoseModel" in done.stdout


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ["WILOR_YOLO_TEST_EVIL"],))


def test_code_in_a_checkpoint_is_refused(trained: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WILOR_YOLO_TEST_EVIL", str(tmp_path / "ran"))
    monkeypatch.delenv("ULTRALYTICS_SAFE_LOAD", raising=False)
    checkpoint = torch.load(trained / "weights" / "best.pt", weights_only=False)
    torch.save({**checkpoint, "extra": Evil()}, tmp_path / "evil.pt", pickle_module=pickle)
    with pytest.raises(WeightsError, match="ULTRALYTICS_SAFE_LOAD=0") as caught:
        HandDetector(tmp_path / "evil.pt")
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError):
        HandDetector("yolo11n-hand-pose.yaml").train(data="x.yaml", pretrained=tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_damaged_files(content: bytes, tmp_path) -> None:
    (tmp_path / "broken.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.pt was refused") as caught:
        HandDetector(tmp_path / "broken.pt")
    assert "\n" not in str(caught.value)


def test_tensors_without_a_network(tmp_path) -> None:
    torch.save({"model.0.conv.weight": torch.zeros(2)}, tmp_path / "body.pt")
    with pytest.raises(WeightsError, match=r"body\.pt holds tensors without a network"):
        HandDetector(tmp_path / "body.pt")


def test_missing_files(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"there is no .*nowhere\.pt"):
        HandDetector(tmp_path / "nowhere.pt")
    with pytest.raises(WeightsError, match=r"yolo11n-hand-pose\.yaml"):
        HandDetector("yolo12n-hand-pose.yaml")


def test_train_needs_one_data_yaml() -> None:
    detector = HandDetector("yolo11n-hand-pose.yaml")
    with pytest.raises(HandError, match="needs data="):
        detector.train()
    with pytest.raises(HandError, match="one data YAML"):
        detector.train(data=["a.yaml", "b.yaml"])
    with pytest.raises(HandError, match=r"there is no data YAML nowhere\.yaml"):
        detector.val(data="nowhere.yaml")


@pytest.fixture
def begun(monkeypatch) -> list[HandTrainer]:
    """The trainers that were told to train; none does."""
    seen: list[HandTrainer] = []

    def begin(trainer: HandTrainer) -> None:
        seen.append(trainer)
        raise Stop

    monkeypatch.setattr(HandTrainer, "train", begin)
    return seen


def test_a_settings_file_stands_between_preset_and_keys(
    begun, toy_set, toy_settings, tmp_path
) -> None:
    """Its data and our own options count, its model does not: the detector is one already."""
    file = tmp_path / "own.yaml"
    file.write_text(
        f"data: {toy_set.yaml}\ndegrees: 5.0\nmosaic: 0.25\nimgsz: 64\nmodel: other.pt\n"
        "mask_prob: 0.6\nturn_prob: 0.2\n"
    )
    toy_settings |= {"imgsz": 96, "project": str(tmp_path)}
    with pytest.raises(Stop):
        HandDetector("yolo11n-hand-pose.yaml").train(
            cfg=str(file), mosaic=0.5, turn_prob=0.1, **toy_settings
        )
    (trainer,) = begun
    args = trainer.args
    assert (args.degrees, args.mosaic, args.imgsz) == (5.0, 0.5, 96)
    assert args.fliplr == training_preset()["fliplr"] and args.scale == training_preset()["scale"]
    assert args.data == str(toy_set.yaml) and args.model == "yolo11n-hand-pose.yaml"
    options = trainer.model.yaml["hand"]
    assert (options["mask_prob"], options["turn_prob"]) == (0.6, 0.1)


def test_a_settings_file_that_cannot_be_read(tmp_path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    for name in ("gone.yaml", "list.yaml", "own.txt"):
        with pytest.raises(HandError, match=rf"cfg=.*{name} cannot be read") as caught:
            HandDetector("yolo11n-hand-pose.yaml").train(cfg=tmp_path / name)
        assert "\n" not in str(caught.value)


def test_only_our_trainer_trains(begun, toy_set, toy_settings, tmp_path) -> None:
    toy_settings |= {"data": str(toy_set.yaml), "project": str(tmp_path)}
    with pytest.raises(Stop):
        HandDetector("yolo11n-hand-pose.yaml").train(trainer=None, **toy_settings)
    assert type(begun[0]) is HandTrainer
    with pytest.raises(HandError, match="leave trainer= out"):
        HandDetector("yolo11n-hand-pose.yaml").train(trainer=PoseTrainer, **toy_settings)


def test_tune_is_refused(toy_set, monkeypatch, tmp_path) -> None:
    """It would start stock trainings in processes of their own."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HandError, match=r"compare values with train\(\)") as caught:
        HandDetector("yolo11n-hand-pose.yaml").tune(data=str(toy_set.yaml), iterations=0)
    assert "\n" not in str(caught.value)


def test_benchmark_is_refused(tiny_detector, monkeypatch, tmp_path) -> None:
    """It would ask for COCO's pictures, and suppress left and right apart."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HandError, match=r"hand-sample\.yaml") as caught:
        HandDetector(tiny_detector).benchmark(format="onnx", imgsz=64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("with_data", [False, True])
@pytest.mark.parametrize("by_path", [False, True])
def test_a_finished_training_is_not_resumed(begun, toy_set, with_data, by_path, tmp_path) -> None:
    """Ultralytics would start a new one, without our preset."""
    settings = {"resume": str(shipped("hand-n.pt")) if by_path else True, "project": str(tmp_path)}
    if with_data:
        settings["data"] = str(toy_set.yaml)
    with pytest.raises(HandError, match=r"hand-n\.pt cannot be resumed") as caught:
        HandDetector("hand-n.pt").train(**settings)
    assert "\n" not in str(caught.value) and not begun


def test_a_new_model_is_not_resumed() -> None:
    with pytest.raises(HandError, match=r"yolo11n-hand-pose\.yaml cannot be resumed"):
        HandDetector("yolo11n-hand-pose.yaml").train(resume=True, data="hand-sample.yaml")


def test_resuming_needs_the_data_set(begun, toy_set, tmp_path) -> None:
    checkpoint = torch.load(shipped("hand-n.pt"), weights_only=False)
    gone = tmp_path / "gone.yaml"
    last = tmp_path / "last.pt"
    for remembered, said in ((str(gone), r"gone\.yaml, is gone"), (None, "remembers no data set")):
        args = {**checkpoint["train_args"], "data": remembered}
        torch.save({**checkpoint, "epoch": 1, "optimizer": {}, "train_args": args}, last)
        for resume in (True, last):
            with pytest.raises(HandError, match=said) as caught:
                HandDetector(last).train(resume=resume)
            assert "\n" not in str(caught.value)
    with pytest.raises(Stop):
        HandDetector(last).train(resume=True, data=str(toy_set.yaml))
    assert begun[0].args.data == str(toy_set.yaml) and begun[0].args.resume == str(last)


def test_validation_needs_a_data_set(trained: Path, toy_set_unknown, tmp_path) -> None:
    """By default that of the training; Ultralytics would download COCO for want of one."""
    with pytest.raises(HandError, match="remembers no data set; give data="):
        HandDetector("hand-n.pt").val()
    detector = HandDetector(trained / "weights" / "best.pt")
    detector.val(plots=False, verbose=False, batch=4, project=str(tmp_path))
    assert detector.overrides["data"] == str(toy_set_unknown.yaml)
    assert detector.metrics.nt_per_class.sum() > 0
    detector.overrides["data"] = str(tmp_path / "gone.yaml")
    with pytest.raises(HandError, match=r"gone\.yaml, is gone"):
        detector.val()


def test_bad_data_yaml_stops_a_training(toy_set, toy_settings, tmp_path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(toy_set.yaml.read_text() + f"flip_idx: {list(range(21))}\n")
    with pytest.raises(HandError, match="remove flip_idx"):
        HandDetector("yolo11n-hand-pose.yaml").train(
            data=str(bad), **toy_settings, project=str(tmp_path), name="bad"
        )


def test_other_heads_are_refused(toy_set, toy_settings, tmp_path) -> None:
    yaml = tmp_path / "yolo26n-pose.yaml"
    yaml.write_text((ROOT / "cfg" / "models" / "26" / "yolo26-pose.yaml").read_text())
    with pytest.raises(HandError, match="train a YOLOv8 or YOLO11"):
        HandDetector(yaml).train(
            data=str(toy_set.yaml), **toy_settings, project=str(tmp_path), name="other"
        )


def test_one_hand_comes_out_once(trained: Path, toy_set) -> None:
    """The same box as a left and as a right hand: ours keeps the likelier, stock keeps both."""
    image = cv2.imread(str(toy_set.images[0]))
    raw = torch.zeros(1, 4 + 2 + 63, 3)
    raw[0, :4] = torch.tensor([[40.0, 40, 30, 30], [41, 40, 30, 30], [80, 40, 20, 20]]).T
    raw[0, 4:6] = torch.tensor([[0.6, 0.1], [0.1, 0.8], [0.7, 0.1]]).T

    def sides(detector: YOLO, **settings) -> list[float]:
        detector.predict(image, imgsz=96, verbose=False, **settings)
        blank = torch.zeros(1, 3, 96, 96)
        return detector.predictor.postprocess(raw.clone(), blank, [image])[0].boxes.cls.tolist()

    file = trained / "weights" / "best.pt"
    assert sides(HandDetector(file)) == [1.0, 0.0]
    assert sides(YOLO(file)) == [1.0, 0.0, 0.0]
    assert sides(HandDetector(file), agnostic_nms=False) == [1.0, 0.0, 0.0]


def test_predict_uses_the_size_it_was_trained_at(trained: Path, toy_set) -> None:
    detector = HandDetector(trained / "weights" / "best.pt")
    detector.predict(str(toy_set.images[0]), verbose=False)
    assert detector.predictor.args.imgsz == 96


def test_predicting_suppresses_as_the_pipeline_does_and_validation_as_stock(
    trained: Path, toy_set
) -> None:
    detector = HandDetector(trained / "weights" / "best.pt")
    detector.predict(str(toy_set.images[0]), verbose=False)
    default = inspect.signature(HandPipeline.__init__).parameters["iou"].default
    assert detector.predictor.args.iou == default == 0.5
    seen: list[float] = []
    detector.add_callback("on_val_start", lambda validator: seen.append(validator.args.iou))
    detector.val(data=str(toy_set.yaml), plots=False, verbose=False)
    assert seen == [0.7]


def test_validation_counts_unknown_sides(trained: Path, toy_set_unknown) -> None:
    detector = HandDetector(trained / "weights" / "best.pt")
    metrics = detector.val(
        data=str(toy_set_unknown.yaml), split="train", plots=False, verbose=False, batch=4
    )
    labels = list((toy_set_unknown.root / "labels" / "train").glob("*.txt"))
    hands = sum(len(file.read_text().splitlines()) for file in labels)
    assert metrics.nt_per_class.sum() == hands and len(metrics.nt_per_class) == 2


def test_a_set_of_one_class_trains_and_validates(own_toy_set, toy_settings, tmp_path) -> None:
    """`sides: unknown`: the network keeps its two sides, validation counts either answer."""
    for file in own_toy_set.root.rglob("*.txt"):
        file.write_text("".join("0" + line[1:] for line in file.read_text().splitlines(True)))
    text = own_toy_set.yaml.read_text()
    text = text.replace("{0: left, 1: right}", "{0: hand}").replace("nc: 2", "nc: 1")
    own_toy_set.yaml.write_text(text + "sides: unknown\n")
    detector = HandDetector("yolo11n-hand-pose.yaml")
    toy_settings |= {"epochs": 1, "project": str(tmp_path), "name": "one", "val": False}
    detector.train(data=str(own_toy_set.yaml), **toy_settings)
    last = HandDetector(tmp_path / "one" / "weights" / "last.pt")
    assert last.names == {0: "left", 1: "right"} and last.model.model[-1].nc == 2
    metrics = last.val(data=str(own_toy_set.yaml), plots=False, verbose=False, batch=4)
    hands = sum(
        len(file.read_text().splitlines())
        for file in (own_toy_set.root / "labels" / "val").glob("*.txt")
    )
    assert metrics.nt_per_class.sum() == hands


def test_no_machine_path_in_a_new_model(monkeypatch, tmp_path) -> None:
    """And the install folder does not matter: Ultralytics strips letters after digits in paths."""
    detector = HandDetector("yolo11s-hand-pose.yaml")
    assert detector.model.yaml["yaml_file"] == "yolo11s-hand-pose.yaml"
    assert detector.model.yaml["scale"] == "s"
    folder = tmp_path / "venv2m" / "cfg"
    shutil.copytree(presets._CFG, folder)
    monkeypatch.setattr(presets, "_CFG", folder)
    assert HandDetector("yolov8n-hand-pose.yaml").model.yaml["scale"] == "n"


def test_tracks(trained: Path, toy_set) -> None:
    pytest.importorskip("lap")
    image = cv2.imread(str(toy_set.images[0]))
    detector = HandDetector(trained / "weights" / "best.pt")
    for _ in range(2):
        result = detector.track(image, persist=True, verbose=False)[0]
    assert result.keypoints.data.shape[1:] == (21, 3)
    assert detector.predictor.args.agnostic_nms is True and detector.predictor.args.iou == 0.5


def test_the_sample_set_is_found_by_name_and_read(trained: Path, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    detector = HandDetector(trained / "weights" / "best.pt")
    metrics = detector.val(data="hand-sample.yaml", imgsz=96, plots=False, verbose=False)
    assert metrics.nt_per_class.sum() >= 6


def test_a_file_says_what_size_it_was_trained_at(tiny_detector):
    assert HandDetector().image_size == IMAGE_SIZE  # the shipped one
    assert HandDetector("yolo11n-hand-pose.yaml").image_size == IMAGE_SIZE  # says nothing
    detector = HandDetector(tiny_detector)
    detector.overrides["imgsz"] = [320, 640]
    assert detector.image_size == 640


def test_a_used_pipeline_can_be_copied_and_pickled() -> None:
    pipeline = HandPipeline()
    picture = cv2.imread(str(ROOT / "assets" / "zidane.jpg"))
    hands = pipeline(picture)
    for same in (copy.deepcopy(pipeline), pickle.loads(pickle.dumps(pipeline))):
        again = same(picture)
        assert len(again) == len(hands) > 0
        np.testing.assert_array_equal(again.need("vertices"), hands.need("vertices"))
    assert pipeline.detector.predictor is not None
