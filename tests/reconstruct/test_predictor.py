"""The adapter: detector results become hands in the camera of the whole picture; the mirror."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from wilor_yolo.crops import crop_geometry, crop_hands, normalise
from wilor_yolo.errors import HandError, WeightsError
from wilor_yolo.geometry import (
    default_intrinsics,
    mirror_points,
    project,
    released_intrinsics,
)
from wilor_yolo.hands import Hands
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct import predictor
from wilor_yolo.reconstruct.checkpoints import load_network, save_network
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.hand_size import hand_lengths
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.predictor import HandReconstructor
from wilor_yolo.reconstruct.released import load_released

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "released"
CHECKPOINT = FIXTURES / "official_tiny.ckpt"


def _weights(path, **changes):
    """A random network that says different things of different crops."""
    torch.manual_seed(0)
    config = NetworkConfig(**{"image_size": 64, "dim": 32, "depth": 1, "heads": 2, **changes})
    network = HandNetwork(config, load_hand_model())
    for name, parameter in network.named_parameters():
        if "head.2" in name or name.startswith(("refinement.pose.2", "refinement.cam.2")):
            torch.nn.init.normal_(parameter, std=0.02)
    save_network(path, network, half=False)
    return path


@pytest.fixture(scope="module")
def reconstructor(tmp_path_factory):
    return HandReconstructor(_weights(tmp_path_factory.mktemp("weights") / "ray.safetensors"))


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (240, 321, 3), np.uint8), (0, 0), 3)
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)


BOXES = np.array([[30, 40, 90, 110], [200, 120, 300, 200], [5, 150, 60, 239]], np.float32)
SIDES = np.array([True, False, False])


def _result(image, boxes=BOXES, sides=SIDES, path="image0.jpg", ids=None):
    """What Ultralytics hands over, as far as the adapter looks."""
    count = len(boxes)
    return SimpleNamespace(
        orig_img=image,
        path=path,
        boxes=type(
            "Boxes",
            (),
            {
                "xyxy": torch.as_tensor(boxes).reshape(-1, 4),
                "conf": torch.linspace(0.9, 0.5, count),
                "cls": torch.as_tensor(np.asarray(sides, np.float32)),
                "id": None if ids is None else torch.as_tensor(ids),
                "__len__": lambda self: count,
            },
        )(),
        keypoints=SimpleNamespace(data=torch.zeros(count, 21, 3)),
    )


# The way through


def test_fields_of_a_result(reconstructor, picture):
    hands = reconstructor.reconstruct(_result(picture, ids=[4.0, 5.0, 6.0]))
    assert isinstance(hands, Hands) and len(hands) == 3 and hands.reconstructed
    assert hands.is_right.tolist() == [True, False, False]
    assert hands.track_id.tolist() == [4, 5, 6]
    assert hands.image_size == (321, 240) and hands.source is None
    assert np.allclose(hands.bbox_xyxy, BOXES) and np.allclose(hands.confidence, [0.9, 0.7, 0.5])
    assert hands.keypoints_2d_detector.shape == (3, 21, 3)
    for name in ("vertices", "joints", "keypoints_2d", "global_orient", "hand_pose", "cam_t", "K"):
        assert getattr(hands, name).dtype == np.float32, name
        assert np.isfinite(getattr(hands, name)).all()
    assert hands.faces.shape == (1538, 3)


def test_pixels_are_the_projected_joints(reconstructor, picture):
    hands = reconstructor.reconstruct(_result(picture))
    assert np.allclose(hands.keypoints_2d, project(hands.joints + hands.cam_t[:, None], hands.K))
    assert (hands.cam_t[:, 2] > 0.05).all()


def test_parameters_pose_the_vertices(reconstructor, picture):
    """For right and left hands, and although the network speaks of ray frames."""
    hands = reconstructor.reconstruct(_result(picture))
    layer = reconstructor.network.hand
    with torch.no_grad():
        mesh = layer(
            *(torch.from_numpy(a) for a in (hands.global_orient, hands.hand_pose, hands.betas))
        )
    wanted = mesh.vertices.numpy().copy()
    wanted[~hands.is_right] = mirror_points(wanted[~hands.is_right])
    assert np.abs(wanted - hands.vertices).max() < 1e-5


@pytest.mark.parametrize("frame", ["ray", "camera"])
def test_mirror_law_of_the_whole_adapter(frame, picture, tmp_path):
    """The mirrored picture with swapped sides gives the mirrored hands and the same parameters."""
    reconstructor = HandReconstructor(_weights(tmp_path / "a.safetensors", frame=frame))
    width = picture.shape[1]
    boxes = BOXES.copy()
    boxes[:, [0, 2]] = width - 1 - BOXES[:, [2, 0]]
    one = reconstructor.reconstruct_boxes(picture, BOXES, SIDES)
    other = reconstructor.reconstruct_boxes(np.ascontiguousarray(picture[:, ::-1]), boxes, ~SIDES)
    assert np.abs(mirror_points(one.vertices) - other.vertices).max() < 1e-5
    assert np.abs(mirror_points(one.joints) - other.joints).max() < 1e-5
    assert np.allclose(mirror_points(one.cam_t), other.cam_t, atol=1e-4)
    assert np.abs(mirror_points(one.keypoints_2d, width) - other.keypoints_2d).max() < 1e-2
    assert np.allclose(one.hand_pose, other.hand_pose, atol=1e-5)
    # The parameters are those of the right hand seen in the mirror: the very same.
    assert np.allclose(one.global_orient, other.global_orient, atol=1e-5)
    assert np.allclose(one.betas, other.betas, atol=1e-5)


def test_a_list_is_one_batch_and_changes_nothing(reconstructor, picture, monkeypatch):
    small = np.ascontiguousarray(picture[:150, :200])
    results = [
        _result(picture),
        _result(small, BOXES[:0], SIDES[:0]),
        _result(small, BOXES[:1], SIDES[:1]),
    ]
    alone = [reconstructor.reconstruct(result) for result in results]
    calls = []
    forward = reconstructor.network.forward
    monkeypatch.setattr(
        reconstructor.network, "forward", lambda crops: calls.append(len(crops)) or forward(crops)
    )
    together = reconstructor.reconstruct(results)
    assert calls == [4] and [len(hands) for hands in together] == [3, 0, 1]
    for one, other in zip(alone, together, strict=True):
        if len(one):
            assert np.allclose(one.vertices, other.vertices, atol=1e-5)
            assert np.allclose(one.cam_t, other.cam_t, rtol=1e-3)


def test_crowds_go_through_in_bounded_batches(reconstructor, picture, monkeypatch):
    monkeypatch.setattr(predictor, "MAX_BATCH", 4)
    calls = []
    forward = reconstructor.network.forward
    monkeypatch.setattr(
        reconstructor.network, "forward", lambda crops: calls.append(len(crops)) or forward(crops)
    )
    boxes, sides = np.tile(BOXES, (3, 1)), np.tile(SIDES, 3)
    hands = reconstructor.reconstruct_boxes(picture, boxes, sides)
    assert calls == [4, 4, 1]
    assert np.allclose(hands.vertices[:3], hands.vertices[6:], atol=1e-5)


def test_no_hands(reconstructor, picture):
    hands = reconstructor.reconstruct(_result(picture, BOXES[:0], SIDES[:0]))
    assert len(hands) == 0 and hands.image_size == (321, 240)
    assert reconstructor.reconstruct([]) == []
    assert len(reconstructor.reconstruct_boxes(picture, np.zeros((0, 4)), np.zeros(0))) == 0


def test_a_picture_without_hands_is_the_same_alone_and_among_others(reconstructor, picture):
    empty, full = _result(picture, BOXES[:0], SIDES[:0]), _result(picture)
    alone = reconstructor.reconstruct(empty)
    among = reconstructor.reconstruct([full, empty, full])
    assert [len(hands) for hands in among] == [3, 0, 3]
    for hands in (alone, among[1]):
        assert hands.reconstructed and (hands.joints + hands.cam_t[:, None]).shape == (0, 21, 3)
        np.testing.assert_array_equal(hands.K, among[0].K)
        np.testing.assert_array_equal(hands.faces, among[0].faces)


# Released checkpoints


@pytest.fixture(scope="module")
def bus():
    package = importlib.util.find_spec("ultralytics")  # found, not imported
    return cv2.imread(str(Path(package.origin).parent / "assets" / "bus.jpg"))


@pytest.fixture(scope="module")
def released():
    return HandReconstructor(CHECKPOINT, heads=4, preprocess="released")


def test_released_weights_with_released_crops_and_camera(released, bus):
    """From boxes to camera space as the released code: its crops, its network, its formulas."""
    expected = np.load(FIXTURES / "crops.npz")
    width, height = (int(n) for n in expected["img_size_wh"][0])
    K = released_intrinsics(width, height)
    right = expected["right"] > 0.5
    hands = released.reconstruct_boxes(bus, expected["boxes"], right, K)
    network = load_released(CHECKPOINT, heads=4)
    with torch.no_grad():
        out = network(torch.from_numpy(expected["crops"]))
    sign = np.where(right, 1.0, -1.0)
    vertices = out.vertices.numpy() * np.stack((sign, np.ones(5), np.ones(5)), 1)[:, None]
    assert np.abs(hands.vertices - vertices).max() < 1e-4 * np.abs(vertices).max()
    assert np.allclose(hands.global_orient, out.global_orient.numpy(), atol=1e-4)
    s, tx, ty = out.cam.numpy().T
    bs = expected["box_size"] * s + 1e-9
    cx, cy = expected["box_center"].T
    wanted = np.stack(
        (
            tx * sign + 2 * (cx - width / 2) / bs,
            ty + 2 * (cy - height / 2) / bs,
            2 * float(expected["scaled_focal"]) / bs,
        ),
        axis=1,
    )
    assert np.abs(hands.cam_t - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_fast_crops_are_the_default_and_near(released, bus):
    fast = HandReconstructor(CHECKPOINT, heads=4)
    assert fast.preprocess == "fast" and released.preprocess == "released"
    box = np.array([[200, 300, 400, 500]], np.float32)
    one = fast.reconstruct_boxes(bus, box, [True])
    other = released.reconstruct_boxes(bus, box, [True])
    assert not np.array_equal(one.vertices, other.vertices)
    assert np.abs(one.vertices - other.vertices).max() < 0.02


def test_a_given_hand_replaces_the_buffers_of_the_checkpoint(tmp_path):
    model = load_hand_model()
    keys = ("v_template", "weights", "J_regressor", "shapedirs", "posedirs", "hands_mean")
    data = {key: getattr(model, key) for key in (*keys, "hands_components")}
    np.savez(tmp_path / "hand.npz", **{**data, "v_template": 2 * model.v_template}, f=model.faces)
    reconstructor = HandReconstructor(CHECKPOINT, heads=4, hand_model=tmp_path / "hand.npz")
    template = reconstructor.network.hand.v_template.numpy()
    assert np.array_equal(template, 2 * model.v_template)


def test_hands_seen_from_afar_project_to_where_the_network_sees_them(picture, tmp_path):
    """HInt scores what a network says of its crop; near the camera the hand would be elsewhere."""
    weights = _weights(tmp_path / "a.safetensors", frame="camera")
    reconstructor = HandReconstructor(weights, second_look=False)
    config = reconstructor.network.config
    crops = crop_geometry(BOXES, SIDES, box_scale=config.box_scale, aspect=config.visible)
    pixels = torch.from_numpy(normalise(crop_hands(picture, crops, config.image_size)))
    with torch.no_grad():
        seen = crops.to_image(reconstructor.network(pixels).keypoints_2d_crop.numpy())

    def error(K):
        hands = reconstructor.reconstruct_boxes(picture, BOXES, SIDES, K)
        return np.abs(hands.keypoints_2d - seen).max()

    assert error(reconstructor.intrinsics_of_crops(321, 240)) < 1.5 < 10 < error(None)


def test_networks_of_ray_frames_need_no_camera_from_afar(reconstructor):
    assert np.array_equal(reconstructor.intrinsics_of_crops(321, 240), default_intrinsics(321, 240))


# Wrong arguments


def test_a_network_that_gives_no_numbers_is_refused_in_one_line(picture, tmp_path):
    network = load_network(_weights(tmp_path / "good.safetensors"))
    with torch.no_grad():
        network.cam_head[-1].weight.fill_(float("nan"))
    save_network(tmp_path / "bad.safetensors", network)
    with pytest.raises(WeightsError, match=r"bad\.safetensors: the network gives numbers that"):
        HandReconstructor(tmp_path / "bad.safetensors").reconstruct(_result(picture))


def test_wrong_arguments_are_refused(reconstructor, picture, tmp_path):
    path = _weights(tmp_path / "a.safetensors")
    with pytest.raises(HandError, match='"fast" or "released"'):
        HandReconstructor(path, preprocess="quick")
    with pytest.raises(HandError, match="256 px crops, this network sees 64 px"):
        HandReconstructor(path, preprocess="released")
    with pytest.raises(HandError, match="device=quantum is not there"):
        HandReconstructor(path, device="quantum")
    with pytest.raises(WeightsError, match="heads="):
        HandReconstructor(path, heads=4)
    with pytest.raises(WeightsError, match="exist"):
        HandReconstructor(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="exist"):
        HandReconstructor(tmp_path / "none.ckpt")
    with pytest.raises(HandError, match="3 boxes need 3 sides"):
        reconstructor.reconstruct_boxes(picture, BOXES, SIDES[:2])
    with pytest.raises(HandError, match="uint8"):
        reconstructor.reconstruct_boxes(picture.astype(np.float32), BOXES, SIDES)
    with pytest.raises(HandError, match="empty boxes"):
        reconstructor.reconstruct_boxes(picture, BOXES[:, [2, 1, 0, 3]], SIDES)
    for wrong in (None, "abc", [[1, 2, 3, 4], [1, 2]], torch.ones(1, 4, requires_grad=True)):
        with pytest.raises(HandError, match=r"bbox_xyxy must be \(N, 4\) pixels"):
            reconstructor.reconstruct_boxes(picture, wrong, [True])
    with pytest.raises(HandError, match="has no pixels"):
        reconstructor.reconstruct_boxes(picture[:0, :0], BOXES, SIDES)
    with pytest.raises(HandError, match="True or False"):
        reconstructor.reconstruct_boxes(picture, BOXES, ["left", "right", "left"])
    with pytest.raises(HandError, match="generator is no detector result"):
        reconstructor.reconstruct(_result(picture) for _ in range(2))
    persons = _result(picture)
    persons.names = {0: "person"}
    with pytest.raises(HandError, match="person, 1 in all"):
        reconstructor.reconstruct(persons)
    swapped = _result(picture)
    swapped.names = {0: "Right hand", 1: "Left hand"}
    with pytest.raises(HandError, match="not left"):
        reconstructor.reconstruct(swapped)
    classified = _result(picture)
    classified.boxes = None
    with pytest.raises(HandError, match="no boxes"):
        reconstructor.reconstruct(classified)
    with pytest.raises(HandError, match="got NoneType"):
        reconstructor.reconstruct_boxes(None, BOXES, SIDES)
    with pytest.raises(HandError, match=r"\(N, 4\)"):
        reconstructor.reconstruct_boxes(picture, np.tile(BOXES, (1, 2))[:, :6], SIDES)
    for K in ("abc", [[1, 2], [3]]):
        with pytest.raises(HandError, match="camera matrix"):
            reconstructor.reconstruct_boxes(picture, BOXES, SIDES, K)


def test_exif_focal_length_reaches_the_camera(reconstructor, picture, tmp_path, monkeypatch):
    from PIL import Image

    exif = Image.Exif()
    exif[0x8769] = {0xA405: 28}  # focal length as on 35 mm film
    path = tmp_path / "image0.jpg"  # what Ultralytics calls arrays
    Image.fromarray(picture[..., ::-1]).save(path, exif=exif)
    hands = reconstructor.reconstruct(_result(picture, path=str(path)))
    assert hands.source == str(path)
    monkeypatch.chdir(tmp_path)
    plain = reconstructor.reconstruct(_result(picture, path="image0.jpg"))
    assert hands.K[0, 0] == pytest.approx(28 / np.hypot(36, 24) * np.hypot(321, 240), rel=0.02)
    assert plain.K[0, 0] == 321


# Known sizes


def test_a_known_length_or_shape_is_used(reconstructor, picture):
    plain = reconstructor.reconstruct(_result(picture))
    sized = reconstructor.reconstruct(_result(picture), hand_length=0.21)
    assert np.allclose(hand_lengths(sized.joints), 0.21, atol=1e-6)
    assert np.allclose(sized.keypoints_2d, plain.keypoints_2d)
    assert np.allclose(sized.distance / plain.distance, sized.scale, rtol=1e-5)
    each = reconstructor.reconstruct_boxes(picture, BOXES, SIDES, hand_length=[0.1, 0.2, 0.3])
    assert np.allclose(hand_lengths(each.joints), [0.1, 0.2, 0.3], atol=1e-6)
    betas = np.linspace(-1, 1, 10)
    for hands in (
        reconstructor.reconstruct([_result(picture)], betas=betas)[0],
        reconstructor.reconstruct_boxes(picture, BOXES, SIDES, betas=betas),
    ):
        assert np.allclose(hands.betas, betas) and hands.scale is None
        shift = np.linalg.norm(hands.keypoints_2d - plain.keypoints_2d, axis=-1).mean()
        assert 0.01 < shift < 0.15 * 80  # hands of 80 px: about where they were
    none = reconstructor.reconstruct(_result(picture, BOXES[:0], SIDES[:0]), hand_length=0.19)
    assert len(none) == 0
    with pytest.raises(HandError, match="keep one"):
        reconstructor.reconstruct(_result(picture), hand_length=0.2, betas=betas)
    with pytest.raises(HandError, match="metres"):
        reconstructor.reconstruct(_result(picture), hand_length=19)


# Wrong sides


def test_a_side_that_the_crop_contradicts_is_turned_over(tmp_path, picture):
    path = _weights(tmp_path / "side.safetensors", side=True)
    reconstructor = HandReconstructor(path)
    head = reconstructor.network.trunk.side
    torch.nn.init.normal_(head.weight)
    boxes, seen = BOXES[:1], []
    for side in (True, False):  # what the network says of the crop and of its mirror image
        geometry = crop_geometry(
            boxes, np.array([side]), box_scale=2.0, aspect=reconstructor.network.config.visible
        )
        crop = predictor.crop_hands(picture, geometry, 64)
        seen.append(float(reconstructor._forward(crop).side_logit))
    head.bias.data.sub_(sum(seen) / 2)  # now it is sure of one of them and against the other
    right = seen[0] > seen[1]
    found = [
        reconstructor.reconstruct(_result(picture, boxes, np.array([side])))
        for side in (True, False)
    ]
    assert [bool(hands.is_right[0]) for hands in found] == [right, right]
    np.testing.assert_allclose(found[0].vertices, found[1].vertices, atol=1e-6)
    trusting = HandReconstructor(path, check_sides=False)
    trusting.network = reconstructor.network
    for side in (True, False):
        kept = trusting.reconstruct(_result(picture, boxes, np.array([side])))
        given = reconstructor.reconstruct_boxes(picture, boxes, np.array([side]))
        assert bool(kept.is_right[0]) == bool(given.is_right[0]) == side
        assert (side == right) == bool(np.allclose(kept.vertices, found[0].vertices, atol=1e-6))
