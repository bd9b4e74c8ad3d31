"""A hand that does not point up is looked at again, turned, and comes back where it was."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import roma
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from wilor_yolo.crops import CropGeometry, crop_hands
from wilor_yolo.geometry import (
    cam_to_crop_translation,
    default_intrinsics,
    matrix_to_rotation_6d,
    mirror_points,
    project,
    project_crop,
    rotation_6d_to_matrix,
)
from wilor_yolo.hands import Hands
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.reconstruct.checkpoints import save_network
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.network import CoarseHand, HandNetwork, NetworkOutput
from wilor_yolo.reconstruct.pointing import pointing, upright_turn
from wilor_yolo.reconstruct.predictor import HandReconstructor
from wilor_yolo.reconstruct.ray import ray_rotation
from wilor_yolo.reconstruct.second_look import centred_crops, turn_hands, turned_crops

RELEASED = Path(__file__).resolve().parents[1] / "fixtures" / "released" / "official_tiny.ckpt"


def _pointing_at(degrees: float) -> np.ndarray:
    keypoints = np.zeros((21, 2))
    radians = np.deg2rad(degrees)
    keypoints[1:] = 10 * np.array([np.sin(radians), -np.cos(radians)])
    return keypoints


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 179.0, -45.0, -135.0])
def test_pointing_counts_clockwise_from_up(degrees):
    assert np.rad2deg(pointing(_pointing_at(degrees)[None]))[0] == pytest.approx(degrees)


def test_hands_that_point_up_are_not_turned():
    keypoints = np.stack([_pointing_at(10), _pointing_at(90), _pointing_at(-14), _pointing_at(-20)])
    np.testing.assert_allclose(np.rad2deg(upright_turn(keypoints)), [0, -90, 0, 20], atol=1e-6)


@pytest.mark.parametrize("is_right", [True, False])
def test_turned_crop_shows_the_hand_upright(is_right):
    """A bright bar that points to the right lies above the middle after the turn."""
    image = np.zeros((200, 300, 3), np.uint8)
    center = np.array([[140.0, 90.0]])
    image[85:96, 140:181] = 255  # from the centre to the right
    flat = CropGeometry(center, np.array([120.0]), np.array([is_right]))
    seen = flat.to_crop(np.array([[[140.0, 90.0]] + [[180.0, 90.0]] * 20]))
    turned = turned_crops(flat, upright_turn(seen))
    crop = crop_hands(image, turned, 96)[0, :, :, 0].astype(float)
    rows, columns = np.nonzero(crop > 128)
    assert rows.max() <= 50 and rows.min() < 20
    assert abs(columns.mean() - 47.5) < 1
    # The points go the same way as the pixels, and back.
    points = turned.to_crop(np.array([[[180.0, 90.0]]]))
    np.testing.assert_allclose(points[0, 0], [0, -1 / 3], atol=1e-9)
    np.testing.assert_allclose(turned.to_image(points)[0, 0], [180, 90], atol=1e-9)


def _spanning(low: list[float], high: list[float]) -> np.ndarray:
    """(21, 2) joints whose bounding box is given, px."""
    return np.concatenate([[low, high], np.full((19, 2), np.mean([low, high], axis=0))])


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize(
    ("low", "high", "center", "size"),
    [
        # A box of 118 px, scale 1.5: the crop was a third wider.
        ([60, 60], [160, 140], [110, 100], 177),
        ([20, 50], [170, 150], [100, 100], 240),  # fits: 265 px and 5 px off
        ([40, 20], [100, 60], [70, 40], 150),  # far too wide: no more than MOST_ZOOM at once
    ],
)
def test_askew_crops_move_onto_their_hands(is_right, low, high, center, size):
    crops = CropGeometry(
        np.full((2, 2), 100.0, np.float32), np.full(2, 240.0), np.full(2, is_right)
    )
    seen = crops.to_crop(np.stack([_spanning(low, high)] * 2))
    moved = centred_crops(crops, seen, np.array([True, False]), box_scale=1.5)
    np.testing.assert_allclose(moved.center, [center, [100, 100]], atol=1e-4)
    np.testing.assert_allclose(moved.size, [size, 240], rtol=1e-5)
    assert (moved.is_right == is_right).all()


def _posed(layer: HandLayer, rotation: torch.Tensor, cam: torch.Tensor) -> NetworkOutput:
    count = len(rotation)
    pose = torch.eye(3).repeat(count, 15, 1, 1)
    betas = torch.zeros(count, 10)
    mesh = layer(rotation[:, None], pose, betas)
    pose6d = torch.zeros(count, 96)
    pose6d[:, :6] = matrix_to_rotation_6d(rotation)
    return NetworkOutput(
        cam=cam,
        cam_t_crop=cam_to_crop_translation(cam),
        global_orient=rotation,
        hand_pose=pose,
        betas=betas,
        vertices=mesh.vertices,
        joints=mesh.joints,
        keypoints_2d_crop=project_crop(mesh.joints, cam),
        pose6d=pose6d,
        coarse=CoarseHand(cam, pose6d, betas),
    )


def test_turned_hand_is_what_the_hand_model_makes_of_its_parameters():
    layer = HandLayer(load_hand_model())
    rotation = roma.rotvec_to_rotmat(torch.tensor([[0.4, -0.2, 1.0], [2.0, 0.1, -0.3]]))
    cam = torch.tensor([[7.0, 0.02, -0.05], [5.0, -0.1, 0.01]])
    seen = _posed(layer, rotation, cam)
    angle = np.array([0.7, -2.1])
    turned = turn_hands(seen, angle)

    again = _posed(layer, turned.global_orient, turned.cam)
    for name in ("vertices", "joints", "cam_t_crop", "keypoints_2d_crop"):
        torch.testing.assert_close(getattr(turned, name), getattr(again, name), atol=1e-5, rtol=0)
    root = rotation_6d_to_matrix(turned.pose6d[:, :6])
    torch.testing.assert_close(root, turned.global_orient, atol=1e-6, rtol=0)

    # On the screen the hand turned clockwise about the crop's centre.
    cos, sin = np.cos(angle), np.sin(angle)
    screen = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    expected = seen.keypoints_2d_crop.numpy() @ screen.transpose(0, 2, 1)
    np.testing.assert_allclose(turned.keypoints_2d_crop.numpy(), expected, atol=1e-6)


# From the picture to the picture, with a network whose answers are known

SIZE, FOCAL = (1300, 1080), 3000.0
UPRIGHT = torch.tensor([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])  # fingers up, back to the camera
MARKED = (0, 5, 9)  # wrist, index and middle knuckle: what of a hand is painted, in B, G, R


class _Reader:
    """Reads painted hands. Of those that do not point up it gets all but the direction wrong."""

    def __init__(self, side: bool = True) -> None:
        self.config = NetworkConfig(
            image_size=192, visible=1.0, box_scale=1.5, side=side, second_look=True
        )
        self.hand = HandLayer(load_hand_model())
        self.flat = _posed(self.hand, UPRIGHT[None], torch.tensor([[7.0, 0.0, 0.0]])).joints[0]
        self.seen: list[int] = []

    def __call__(self, crops: torch.Tensor) -> NetworkOutput:
        self.seen.append(len(crops))
        dark = crops.amin(dim=(2, 3), keepdim=True)
        marks = _centres((crops - dark).flip(1))
        along, flat = marks[:, 2] - marks[:, 0], self.flat[9, :2] - self.flat[0, :2]
        angle = _direction(along) - _direction(flat)
        angle = torch.atan2(angle.sin(), angle.cos())
        across = marks[:, 1] - marks[:, 0]
        right = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0] < 0  # thumb to the left
        upright = angle.abs() < np.deg2rad(20)
        # Of hands that do not point up: too large, and any side is right.
        scale = 2 * along.norm(dim=1).clamp(min=0.1) / flat.norm() * torch.where(upright, 1.0, 1.1)
        roll = roma.rotvec_to_rotmat(angle[:, None] * torch.tensor([0.0, 0.0, 1.0]))
        said = _posed(self.hand, roll @ UPRIGHT, scale[:, None] * torch.tensor([1.0, 0, 0]))
        cam = torch.cat(
            (scale[:, None], 2 * marks[:, 0] / scale[:, None] - said.joints[:, 0, :2]), 1
        )
        said = _posed(self.hand, roll @ UPRIGHT, cam)
        said.side_logit = torch.where(right | ~upright, 1.0, -1.0) if self.config.side else None
        return said


def _centres(crops: torch.Tensor) -> torch.Tensor:
    """(N, 3, 2) crop units: where the marks of each colour lie."""
    places = (torch.arange(crops.shape[-1]) + 0.5) / crops.shape[-1] - 0.5
    weights = crops / crops.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    return torch.stack(((weights.sum(2) * places).sum(2), (weights.sum(3) * places).sum(2)), dim=2)


def _direction(vector: torch.Tensor) -> torch.Tensor:
    return torch.atan2(vector[..., 1], vector[..., 0])


def _painted(reader: _Reader, angles: list[float], middles: list[list[float]]):
    """A picture of right hands (degrees, px), their boxes, joints in the camera, orientations."""
    image, K = np.zeros((*SIZE[::-1], 3), np.uint8), default_intrinsics(*SIZE, focal=FOCAL)
    boxes, joints, orients = [], [], []
    for degrees, middle in zip(angles, middles, strict=True):
        center = np.array([middle])
        roll = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, np.deg2rad(degrees)])).float()
        turn = torch.from_numpy(ray_rotation(center, K)[0]).float()
        orient = turn.T @ roll @ UPRIGHT
        hand = _posed(reader.hand, orient[None], torch.tensor([[7.0, 0.0, 0.0]])).joints[0].numpy()
        place = (center[0] - K[:2, 2]) / FOCAL * 2.4
        hand = hand - hand[9] + np.array([*place, 2.4], np.float32)  # the knuckle in the middle
        for channel, (x, y) in enumerate(project(hand, K)[list(MARKED)]):
            colour = tuple(255 if c == channel else 0 for c in range(3))
            where = (round(x * 256), round(y * 256))
            cv2.circle(layer := np.zeros_like(image), where, 5 * 256, colour, -1, cv2.LINE_AA, 8)
            image = np.maximum(image, layer)
        boxes.append([*(center[0] - 130), *(center[0] + 130)])
        joints.append(hand)
        orients.append(orient.numpy())
    return image, np.array(boxes, np.float32), np.stack(joints), np.stack(orients)


def _asked(image: np.ndarray, boxes: np.ndarray, sides: np.ndarray) -> SimpleNamespace:
    """What a detector hands over."""
    found = {"xyxy": boxes, "conf": np.ones(len(boxes)), "cls": sides.astype(float), "id": None}
    kind = type("Boxes", (), {**found, "__len__": lambda self: len(boxes)})
    return SimpleNamespace(orig_img=image, boxes=kind(), keypoints=None, path=None)


def _mirrored(image, boxes, joints, orients):
    width = image.shape[1]
    boxes = boxes.copy()
    boxes[:, [0, 2]] = width - 1 - boxes[:, [2, 0]]
    return np.ascontiguousarray(image[:, ::-1]), boxes, mirror_points(joints), orients


def _reconstructor(tmp_path, reader: _Reader, **options) -> HandReconstructor:
    config = NetworkConfig(image_size=64, dim=8, depth=0, heads=2, second_look=True)
    save_network(tmp_path / "a.safetensors", HandNetwork(config, load_hand_model()))
    reconstructor = HandReconstructor(tmp_path / "a.safetensors", **options)
    reconstructor.network = reader
    return reconstructor


def _right_places(hands: Hands, joints: np.ndarray, orients: np.ndarray) -> np.ndarray:
    """(N,) whether hands lie where they were painted, in px, metres and degrees."""
    K = default_intrinsics(*SIZE, focal=FOCAL)
    pixels = np.linalg.norm(hands.keypoints_2d - project(joints, K), axis=-1).max(axis=1)
    metres = np.linalg.norm(hands.joints + hands.cam_t[:, None] - joints, axis=-1).max(axis=1)
    cosine = (np.einsum("nij,nij->n", hands.global_orient, orients) - 1) / 2
    return (pixels < 2) & (metres < 0.05) & (cosine > np.cos(np.deg2rad(2)))


ANGLES, MIDDLES = [90.0, -135.0, 8.0, -40.0], [[300, 280], [1000, 270], [310, 800], [1010, 780]]


@pytest.mark.parametrize("told", [True, False], ids=["sides as they are", "sides wrong"])
def test_hands_of_several_pictures_come_back_where_they_are(tmp_path, told):
    reader = _Reader()
    reconstructor = _reconstructor(tmp_path, reader)
    right = _painted(reader, ANGLES, MIDDLES)
    left = _mirrored(*_painted(reader, ANGLES[::-1], MIDDLES))
    black = np.zeros_like(right[0])
    found = reconstructor.reconstruct(
        [
            _asked(*right[:2], np.full(4, told)),
            _asked(black, np.zeros((0, 4), np.float32), np.zeros(0, bool)),
            _asked(*left[:2], np.full(4, not told)),
        ],
        default_intrinsics(*SIZE, focal=FOCAL),
    )
    assert [len(hands) for hands in found] == [4, 0, 4]
    assert found[0].is_right.all() and not found[2].is_right.any()
    assert _right_places(found[0], *right[2:]).all()
    assert _right_places(found[2], *left[2:]).all()
    # The two that point up were looked at once; wrong sides cost a look more.
    assert reader.seen == ([8, 6] if told else [8, 2, 6, 6])


def test_boxes_beside_the_hand_and_too_large(tmp_path):
    reader = _Reader()
    K = default_intrinsics(*SIZE, focal=FOCAL)
    image, boxes, joints, orients = _painted(reader, ANGLES[:2], MIDDLES[:2])
    large = boxes + np.array([-110, -40, 10, 80], np.float32)  # 380 px for 260
    lengths = []

    def spy(crops: torch.Tensor) -> NetworkOutput:
        marks = _centres((crops - crops.amin(dim=(2, 3), keepdim=True)).flip(1))
        lengths.append((marks[:, 2] - marks[:, 0]).norm(dim=1))
        return reader(crops)

    reconstructor = _reconstructor(tmp_path, reader)
    spy.config, spy.hand = reader.config, reader.hand
    reconstructor.network = spy
    hands = reconstructor.reconstruct_boxes(image, large, np.array([True, True]), K)
    assert _right_places(hands, joints, orients).all()
    first, second = lengths
    assert (second > 1.2 * first).all()  # the second look is the closer one


@pytest.mark.parametrize("side", [True, False])
def test_given_boxes_and_sides(tmp_path, side):
    reader = _Reader(side)
    K = default_intrinsics(*SIZE, focal=FOCAL)
    for mirrored in (False, True):
        scene = _painted(reader, ANGLES, MIDDLES)
        image, boxes, joints, orients = _mirrored(*scene) if mirrored else scene
        sides = np.full(4, not mirrored)
        for second_look, wanted in ((True, [True] * 4), (False, [False, False, True, False])):
            reconstructor = _reconstructor(tmp_path, reader, second_look=second_look)
            hands = reconstructor.reconstruct_boxes(image, boxes, sides, K)
            assert (hands.is_right == sides).all()
            assert _right_places(hands, joints, orients).tolist() == wanted


def test_hands_outside_the_picture_and_none(tmp_path):
    reader = _Reader()
    reconstructor = _reconstructor(tmp_path, reader)
    image = _painted(reader, ANGLES[:1], MIDDLES[:1])[0]
    away = np.array([[5000, 100, 5300, 400], [-900, -900, -600, -600]], np.float32)
    hands = reconstructor.reconstruct_boxes(image, away, np.array([True, False]))
    assert len(hands) == 2 and np.isfinite(hands.vertices).all()
    reader.seen.clear()
    assert len(reconstructor.reconstruct_boxes(image, away[:0], np.zeros(0, bool))) == 0
    assert reader.seen == []


def test_only_networks_made_for_it_look_twice(tmp_path):
    assert _reconstructor(tmp_path, _Reader()).second_look
    assert not _reconstructor(tmp_path, _Reader(), second_look=False).second_look
    released = HandReconstructor(RELEASED, heads=4)
    assert not released.network.config.second_look and not released.second_look


def test_turning_stays_on_the_device():
    """Tensors that only know where they lie."""
    with FakeTensorMode():
        hands = _posed_on("cuda", 3)
        turned = turn_hands(hands, np.array([0.3, -2.0, 1.0]))
        both = NetworkOutput.concatenate([hands, turned]).take(torch.arange(2))
    assert {value.device.type for value in both.tensors.values()} == {"cuda"}


def _posed_on(device: str, count: int) -> NetworkOutput:
    shapes = {
        "cam": (3,),
        "cam_t_crop": (3,),
        "global_orient": (3, 3),
        "hand_pose": (15, 3, 3),
        "betas": (10,),
        "vertices": (778, 3),
        "joints": (21, 3),
        "keypoints_2d_crop": (21, 2),
        "pose6d": (96,),
        "side_logit": (),
    }
    values = {n: torch.empty(count, *shape, device=device) for n, shape in shapes.items()}
    return NetworkOutput(
        **values, coarse=CoarseHand(values["cam"], values["pose6d"], values["betas"])
    )
