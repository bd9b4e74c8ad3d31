"""The landmark network's body: its layers are placed as the published ones are."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from wilor_yolo.errors import HandError, WeightsError
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.initialise import initialise_stem
from wilor_yolo.reconstruct.landmark_body import LandmarkBody, _SameConv
from wilor_yolo.reconstruct.landmark_weights import read_landmark_weights
from wilor_yolo.reconstruct.network import HandNetwork
from wilor_yolo.reconstruct.refine import DEEP_UNIT, FLAT_UNIT, seen_distances
from wilor_yolo.reconstruct.stems import LandmarkEvidence, LandmarkStem


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_convolutions_pad_as_tensorflow_does(kernel, stride):
    layer = _SameConv(1, 1, kernel, stride)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    side = 8
    image = torch.zeros(1, 1, side, side)
    image[..., 4, 4] = 1
    seen = layer(image)[0, 0]
    assert seen.shape == (side // stride, side // stride)
    # Output i covers inputs i * stride - before ... + kernel, before = (kernel - stride) // 2.
    before = (kernel - stride) // 2
    rows = [i for i in range(side // stride) if 0 <= 4 - (i * stride - before) < kernel]
    assert torch.nonzero(seen.sum(1)).flatten().tolist() == rows


def test_reads_maps_of_stride_16_and_32():
    body = LandmarkBody().eval()
    with torch.no_grad():
        seen = body(torch.rand(2, 3, 64, 96))
    assert seen.sixteenth.shape == (2, 112, 4, 6)
    assert seen.top.shape == (2, 1152, 2, 3)
    assert seen.points.shape == (2, 21, 2) and seen.joints.shape == (2, 21, 3)
    assert seen.side.shape == (2,)


def test_cells_lie_where_the_frame_says():
    """The layers of stride 16 as averages: a cell's response is centred where the frame puts it."""
    side = 256
    config = NetworkConfig(stem="hand-landmarks", image_size=side, visible=1.0, dim=8, heads=2)
    stem = LandmarkStem(config).eval()
    for module in stem.body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias)
    crop = torch.full((1, 3, side, side), 0.05, requires_grad=True)
    seen = stem.body(crop)
    row = column = side // 32
    response = torch.autograd.grad(seen.sixteenth[0, :, row, column].sum(), crop)[0][0].sum(0)
    middles = (torch.arange(side) + 0.5) / side - 0.5
    centre = torch.stack([(response.sum(k) * middles).sum() / response.sum() for k in (0, 1)])
    count = side // 16
    cell = torch.tensor([(2 * column + 1) / count - 1, (2 * row + 1) / count - 1])
    assert ((stem.frame.grid(centre) - cell) * side / 2).abs().max() < 0.1  # px


def test_starts_from_a_state_dict(tmp_path):
    config = NetworkConfig(
        stem="hand-landmarks", image_size=64, visible=1.0, dim=32, depth=1, heads=2, side=True
    )
    state = {name: torch.randn_like(value) for name, value in LandmarkBody().state_dict().items()}
    torch.save(state, tmp_path / "landmarks.pt")
    network = HandNetwork(config, load_hand_model())
    taken = initialise_stem(network, tmp_path / "landmarks.pt")
    assert set(taken.taken) == set(state) and not taken.left
    stem = network.trunk.stem
    torch.testing.assert_close(stem.body.expand.weight, state["expand.weight"])
    # A new network says of the side what its stem says.
    crops = torch.randn(2, 3, 64, 64)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(crops).side_logit, stem.read(crops).side_logit)
    network.train()
    evidence = network(crops).evidence
    assert isinstance(evidence, LandmarkEvidence)
    assert evidence.joints[:, 0].abs().max() == 0


def test_needs_whole_crops():
    with pytest.raises(HandError, match="visible=1"):
        LandmarkStem(NetworkConfig(stem="hand-landmarks", image_size=224))


def test_other_files_are_refused(tmp_path):
    pytest.importorskip("openvino")
    with pytest.raises(WeightsError, match="does not exist"):
        read_landmark_weights(tmp_path / "none.tflite")
    (tmp_path / "bad.tflite").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"no \.tflite|is not"):
        read_landmark_weights(tmp_path / "bad.tflite")


FEEDBACK = NetworkConfig(
    stem="hand-landmarks",
    image_size=64,
    visible=1.0,
    dim=32,
    depth=1,
    heads=2,
    iterations=2,
    feedback=True,
)
OFF = {"feedback": False, "seen_rounds": 0}
SEEN = replace(FEEDBACK, feedback=False, iterations=1, seen_rounds=2)


def test_distances_are_to_what_the_stem_sees():
    joints = torch.randn(2, 21, 3)
    projected = torch.randn(2, 21, 2)
    seen = LandmarkEvidence(projected + 0.1, joints - joints[:, :1] + 0.01)
    flat, deep = seen_distances(seen, joints, projected).split((42, 63), dim=1)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.1 * FLAT_UNIT))
    torch.testing.assert_close(deep, torch.full_like(deep, 0.01 * DEEP_UNIT))


@pytest.mark.parametrize("switch", ["feedback", "seen_rounds"])
def test_what_listens_to_the_stem_starts_silent_and_is_heard(switch):
    listening = {"feedback": FEEDBACK, "seen_rounds": SEEN}[switch]
    torch.manual_seed(0)
    network = HandNetwork(listening, load_hand_model()).eval()
    without = HandNetwork(replace(listening, **OFF), load_hand_model()).eval()
    without.load_state_dict(network.state_dict(), strict=False)
    layers = network.seen_fit.layers if switch == "seen_rounds" else network.refinement.feedback
    crops = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(crops).joints, without(crops).joints)
        nn.init.normal_(layers[-1].weight, std=0.05)
        moved = network(crops)
        assert (moved.joints - without(crops).joints).abs().max() > 1e-4
        network.trunk.stem.body.points.bias.add_(30.0)  # px: the stem now sees another hand
        assert (network(crops).joints - moved.joints).abs().max() > 1e-5


def test_feedback_needs_a_stem_that_sees_joints():
    with pytest.raises(HandError, match="feedback"):
        NetworkConfig(feedback=True)
    with pytest.raises(HandError, match="feedback"):
        replace(FEEDBACK, scales=0)
