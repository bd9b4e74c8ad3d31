from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from ultralytics.nn.tasks import PoseModel
from ultralytics.utils.loss import KeypointLoss

from wilor_yolo.detect.losses import EitherSideBCE, HandAssigner, HandPoseLoss, KeypointL2
from wilor_yolo.detect.options import HandOptions
from wilor_yolo.detect.presets import read_model_yaml
from wilor_yolo.detect.sides import UNSURE_CLASS
from wilor_yolo.skeleton import LEFT, RIGHT


@pytest.fixture(scope="module")
def model() -> PoseModel:
    torch.manual_seed(0)
    model = PoseModel(read_model_yaml("yolo11n-hand-pose.yaml"), verbose=False)
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, pose=12.0, kobj=1.0)
    return model.train()


def batch_of(sides: list[float], keypoints: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    count = len(sides)
    boxes = torch.tensor([[0.3, 0.3, 0.4, 0.4], [0.7, 0.6, 0.3, 0.5]])[:count]
    if keypoints is None:
        generator = torch.Generator().manual_seed(1)
        place = boxes[:, None, :2] + (torch.rand(count, 21, 2, generator=generator) - 0.5) * 0.3
        keypoints = torch.cat((place, torch.full((count, 21, 1), 2.0)), -1)
    return {
        "img": torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(2)),
        "cls": torch.tensor(sides)[:, None],
        "bboxes": boxes,
        "batch_idx": torch.zeros(count),
        "keypoints": keypoints,
    }


def items(model: PoseModel, options: HandOptions, batch: dict) -> dict[str, float]:
    loss = HandPoseLoss(model, options)
    with torch.no_grad():
        _, named = loss(model(batch["img"]), batch)
    return {name: float(value) for name, value in named.items()}


def test_l2_by_hand() -> None:
    true = torch.zeros(2, 21, 3)
    predicted = torch.zeros(2, 21, 3)
    predicted[0, :, 0] = 3.0
    predicted[0, :, 1] = 4.0  # 5 away, hand of size 10: 0.5
    predicted[1, :7, 0] = 2.0  # 2 away on the known third, hand of size 4: 0.5
    known = torch.ones(2, 21)
    known[1, 7:] = 0
    area = torch.tensor([[100.0], [16.0]])
    assert float(KeypointL2()(predicted, true, known, area)) == pytest.approx(0.5, abs=1e-4)


def test_l2_ignores_unknown_keypoints_and_scale() -> None:
    torch.manual_seed(0)
    predicted, true = torch.rand(3, 21, 3) * 9, torch.rand(3, 21, 3) * 9
    known = (torch.rand(3, 21) > 0.4).float()
    area = torch.rand(3, 1) * 50 + 1
    value = KeypointL2()(predicted, true, known, area)
    moved = predicted + (1 - known)[..., None] * 100
    assert torch.allclose(KeypointL2()(moved, true, known, area), value)
    assert torch.allclose(KeypointL2()(predicted * 3, true * 3, known, area * 9), value, rtol=1e-4)


def test_l2_has_a_gradient_at_zero_distance() -> None:
    predicted = torch.zeros(1, 21, 3, requires_grad=True)
    KeypointL2()(predicted, torch.zeros(1, 21, 3), torch.ones(1, 21), torch.ones(1, 1)).backward()
    assert torch.isfinite(predicted.grad).all()


def test_keypoint_losses_are_selectable(model) -> None:
    batch = batch_of([LEFT, RIGHT])
    kinds = {
        kind: items(model, HandOptions(keypoint_loss=kind), batch) for kind in ("l2", "oks", "none")
    }
    assert isinstance(HandPoseLoss(model, HandOptions("oks")).keypoint_loss, KeypointLoss)
    assert kinds["l2"]["pose_loss"] > 0 and kinds["oks"]["pose_loss"] > 0
    assert kinds["l2"]["pose_loss"] != kinds["oks"]["pose_loss"]
    assert kinds["none"]["pose_loss"] == 0 and kinds["none"]["kobj_loss"] == 0
    for name in ("box_loss", "cls_loss", "dfl_loss"):
        assert kinds["l2"][name] == kinds["oks"][name] == kinds["none"][name] > 0


def test_hands_without_keypoints_teach_boxes_only(model) -> None:
    whole = batch_of([LEFT, RIGHT])
    blank = batch_of([LEFT, RIGHT], torch.zeros(2, 21, 3))
    values = items(model, HandOptions(), blank)
    assert values["pose_loss"] == 0 and values["kobj_loss"] == 0
    assert values["box_loss"] == pytest.approx(items(model, HandOptions(), whole)["box_loss"])
    half = whole["keypoints"].clone()
    half[1] = 0
    alone = batch_of([LEFT, RIGHT], half)
    shifted = batch_of([LEFT, RIGHT], half.clone())
    shifted["keypoints"][1, :, :2] = 0.9  # places without visibility are noise
    assert items(model, HandOptions(), alone) == items(model, HandOptions(), shifted)
    assert items(model, HandOptions(), alone)["pose_loss"] > 0


@pytest.mark.parametrize("kind", ["l2", "oks", "none"])
def test_keypoint_head_always_gets_a_gradient(model, kind: str) -> None:
    """DDP fails on parameters without one, also in a batch without keypoints."""
    batch = batch_of([LEFT, RIGHT], torch.zeros(2, 21, 3))
    model.zero_grad()
    loss, _ = HandPoseLoss(model, HandOptions(keypoint_loss=kind))(model(batch["img"]), batch)
    loss.sum().backward()
    assert all(p.grad is not None for p in model.model[-1].cv4.parameters())


def test_either_side_by_hand() -> None:
    probabilities = torch.tensor([[[0.6, 0.5], [0.6, 0.5]]])
    targets = torch.tensor([[[0.35, 0.35], [0.7, 0.0]]])
    loss = EitherSideBCE()(probabilities.logit(), targets)
    hand = torch.tensor(1 - 0.4 * 0.5)
    expected = -(0.7 * hand.log() + 0.3 * (1 - hand).log())
    torch.testing.assert_close(loss[0, 0].sum(), expected)
    plain = torch.nn.functional.binary_cross_entropy(
        probabilities[0, 1], targets[0, 1], reduction="none"
    )
    torch.testing.assert_close(loss[0, 1], plain)


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_a_found_hand_of_unknown_side_is_not_pushed_to_a_side(side: int) -> None:
    """Neither the believed side up nor the other one down, whichever it is."""
    logits = torch.full((1, 1, 2), -6.0)
    logits[0, 0, side] = 8.0
    logits.requires_grad_()
    EitherSideBCE()(logits, torch.full((1, 1, 2), 0.5)).sum().backward()
    assert logits.grad.abs().max() < 1e-3
    missed = torch.full((1, 1, 2), -3.0, requires_grad=True)
    EitherSideBCE()(missed, torch.full((1, 1, 2), 0.5)).sum().backward()
    assert (missed.grad < -0.1).all()


def test_either_side_is_finite_at_extremes() -> None:
    logits = torch.tensor([[[-80.0, -90.0], [90.0, 80.0], [-80.0, 90.0]]], requires_grad=True)
    loss = EitherSideBCE()(logits, torch.full((1, 3, 2), 0.5))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(logits.grad).all()


def test_unknown_sides_in_the_whole_loss(model) -> None:
    """As if both sides were one class; box and landmark losses do not care."""
    options = HandOptions()
    known = items(model, options, batch_of([LEFT, RIGHT]))
    unsure = items(model, options, batch_of([UNSURE_CLASS, UNSURE_CLASS]))
    assert unsure["cls_loss"] != known["cls_loss"]
    for name in ("box_loss", "dfl_loss", "pose_loss", "kobj_loss"):
        assert unsure[name] == pytest.approx(known[name], rel=0.2)  # other anchors


def test_target_scores_are_split_between_the_sides() -> None:
    assigner = HandAssigner(topk=4, num_classes=2, alpha=0.5, beta=6.0, stride=[8.0])
    axis = torch.arange(4, 64, 8.0)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    truth = torch.tensor([[[4.0, 4, 28, 28], [36, 36, 60, 60]]])
    boxes = torch.cat((points - 12, points + 12), -1)[None]
    labels = torch.tensor([[[UNSURE_CLASS], [1.0]]])
    scores = torch.full((1, len(points), 2), 0.3)
    _, _, target, foreground, hand = assigner(
        scores, boxes, points, labels, truth, torch.ones(1, 2, 1)
    )
    foreground = foreground.bool()
    unsure, sure = foreground & (hand == 0), foreground & (hand == 1)
    assert unsure.any() and sure.any()
    assert (target[unsure][:, 0] == target[unsure][:, 1]).all() and (target[unsure] > 0).all()
    assert (target[sure][:, 0] == 0).all() and (target[sure][:, 1] > 0).all()
    torch.testing.assert_close(target[unsure].sum(-1).max(), target[sure].sum(-1).max())


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_assigner_takes_the_side_the_network_sees(side: int) -> None:
    assigner = HandAssigner(topk=10, num_classes=2, alpha=0.5, beta=6.0)
    truth = torch.tensor([[[10.0, 10, 50, 50], [0, 0, 0, 0]]])
    boxes = torch.tensor([[[11.0, 10, 50, 52], [70, 70, 90, 90]]])
    scores = torch.full((1, 2, 2), 0.1)
    scores[0, 0, side] = 0.6
    scores[0, 1, 1 - side] = 0.99  # a confident hand elsewhere has no say
    labels = torch.tensor([[[UNSURE_CLASS], [0.0]]])
    mask = torch.tensor([[[1.0], [0.0]]])
    resolved = assigner.resolve_sides(scores, boxes, labels, truth, mask)
    assert resolved.ravel().tolist() == [side, 0.0]
    assert labels[0, 0, 0] == UNSURE_CLASS


def test_known_sides_are_left_alone(model) -> None:
    assigner = HandAssigner(topk=10, num_classes=2)
    labels = torch.tensor([[[1.0], [0.0]]])
    boxes = torch.tensor([[[10.0, 10, 50, 50], [60, 60, 90, 90]]])
    kept = assigner.resolve_sides(torch.rand(1, 2, 2), boxes, labels, boxes, torch.ones(1, 2, 1))
    assert kept is labels


@pytest.mark.parametrize(
    ("gain", "item"),
    [
        ("cls", "cls_loss"),  # BCE
        ("dfl", "dfl_loss"),
        ("box", "box_loss"),  # CIoU
        ("pose", "pose_loss"),  # L2 of keypoints
        ("kobj", "kobj_loss"),
    ],
)
def test_each_term_of_eq_5_has_a_weight(model, gain: str, item: str) -> None:
    """The stock keys; one weight scales one term and no other."""
    options, batch = HandOptions(), batch_of([LEFT, RIGHT])
    before = items(model, options, batch)
    stock = vars(model.args)[gain]
    try:
        setattr(model.args, gain, 3 * stock)
        after = items(model, options, batch)
    finally:
        setattr(model.args, gain, stock)
    assert before[item] > 0
    for name, value in before.items():
        assert after[name] == pytest.approx(value * (3 if name == item else 1), rel=1e-5)


def test_one_class_has_the_stock_loss() -> None:
    """`single_cls=True`: nothing is unsure, and no loss is halved."""
    logits, targets = torch.randn(2, 9, 1), torch.rand(2, 9, 1) * (torch.rand(2, 9, 1) > 0.5)
    stock = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    torch.testing.assert_close(EitherSideBCE()(logits, targets), stock, atol=1e-5, rtol=1e-4)
