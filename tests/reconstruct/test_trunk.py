"""The trunk: sizes, tokens, and where its features lie in the crop.

The alignment tests do not use the formulas they check. A linear copy of a stem (every kernel a
positive average, nothing else) has an impulse response whose centre of gravity *is* the place a
feature comes from; and a picture whose brightness is its own x coordinate, sent through stem,
deconvolutions and sampler, must come out as the x coordinate that was asked for.
"""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.refine import Refinement, sample_aligned
from wilor_yolo.reconstruct.stems import CnnStem, LandmarkStem, PatchStem, YoloStem
from wilor_yolo.reconstruct.trunk import Trunk

FAINT = 1e-4  # keeps a ramp below where activations that no module names are cut off
PIXEL = 0.1  # how far a sample may lie from where it should, px of the crop

FAST_STEMS = ("mobilenetv2_100", "resnet18", "convnext_atto", "fastvit_t8")
MORE_STEMS = (
    "convnextv2_atto",
    "darknet53",
    "edgenext_xx_small",
    "efficientnet_b0",
    "fastvit_t12",
    "ghostnet_100",
    "lcnet_050",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
    "mobileone_s0",
    "regnety_002",
    "repghostnet_050",
    "repvgg_a0",
    "resnet50",
    "resnext50_32x4d",
)


def _linear(module, centre_taps):
    """Make a network linear in place: averaging kernels, no norms, no activations, no gates.

    With `centre_taps`, odd kernels read their middle pixel only, so that no border of zeros is
    ever seen and a ramp stays a ramp up to the edge.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            _average(child.weight, centre_taps)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Linear):
            nn.init.constant_(child.weight, 1 / child.in_features)
            nn.init.zeros_(child.bias)
        elif isinstance(child, nn.MaxPool2d):
            size, stride, padding = child.kernel_size, child.stride, child.padding
            middle = size % 2 and centre_taps
            pool = nn.AvgPool2d(1, stride) if middle else nn.AvgPool2d(size, stride, padding)
            setattr(module, name, pool)
        elif _bends(child):
            setattr(module, name, nn.Identity())
        else:
            _linear(child, centre_taps)
    for name, parameter in module.named_parameters():
        if "gamma" in name or "layer_scale" in name:
            nn.init.ones_(parameter)


def _bends(child):
    """Norms, gates and activations: whatever is neither linear nor a container."""
    if isinstance(child, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)):
        return True
    if type(child).__name__ in ("SEModule", "SqueezeExcite", "GlobalResponseNorm"):
        return True
    leaf = not (list(child.children()) or list(child.parameters()))
    return leaf and "Pool" not in type(child).__name__


def _average(weight, centre_taps):
    rows, columns = weight.shape[2:]
    nn.init.constant_(weight, 1 / weight[0].numel())
    if centre_taps and rows % 2 and columns % 2:
        nn.init.zeros_(weight)
        with torch.no_grad():
            weight[:, :, rows // 2, columns // 2] = 1 / weight.shape[1]


def _stem(config, centre_taps=False):
    stem = (PatchStem if config.stem == "patch" else CnnStem)(config).double().eval()
    _linear(stem, centre_taps)
    return stem


def _direct_yolo_stem(config, centre_taps=False):
    """Linear, without the maps that are doubled from deeper layers."""
    stem = YoloStem(config).double().eval()
    _linear(stem, centre_taps)
    layers = stem.body.model
    with torch.no_grad():
        layers[13].cv1.conv.weight[:, : layers[10].cv2.conv.out_channels] = 0
        layers[16].cv1.conv.weight[:, : layers[13].cv2.conv.out_channels] = 0
    return stem


def _measured_centre(stem, side, row, column):
    """Crop units (x, y) of the centre of gravity of everything one cell sees."""
    crop = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    cell = stem(crop)[0, :, row, column].sum()
    response = torch.autograd.grad(cell, crop)[0][0].sum(0)
    middles = (torch.arange(side) + 0.5) / side - 0.5
    total = response.sum()
    return torch.stack(
        ((response.sum(0) * middles).sum() / total, (response.sum(1) * middles).sum() / total)
    )


def _cell_in_grid(stem, row, column):
    """`grid_sample` coordinates of the middle of a cell, align_corners=False."""
    rows, columns = stem.map_size
    return torch.tensor([(2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1])


def _assert_centre_agrees(name, **overrides):
    # Large, so that the middle cell's whole receptive field lies inside.
    side = 768
    config = NetworkConfig(stem=name, image_size=side, visible=1.0, dim=8, heads=2, **overrides)
    stem = _stem(config)
    row, column = (n // 2 for n in stem.map_size)
    centre = _measured_centre(stem, side, row, column)
    said = stem.frame.grid(centre)
    rows, columns = stem.map_size
    # From grid units to pixels of the crop.
    error = (said - _cell_in_grid(stem, row, column)) * torch.tensor([columns, rows]) / 2
    error = error * side / rows
    assert error.abs().max() < PIXEL, f"{name}: off by {error.tolist()} px"


@pytest.mark.parametrize("name", FAST_STEMS)
def test_cnn_frame_is_the_centre_of_what_a_cell_sees(name):
    _assert_centre_agrees(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_STEMS)
def test_more_cnn_frames_are_the_centre_of_what_a_cell_sees(name):
    _assert_centre_agrees(name)


def test_cnn_frame_of_an_earlier_level():
    _assert_centre_agrees("mobilenetv2_100", stem_level=-2)


@pytest.mark.parametrize("padding", [0, 2])
def test_patch_frame_is_the_centre_of_what_a_cell_sees(padding):
    stem = _stem(NetworkConfig(dim=8, heads=2, patch_padding=padding))
    centre = _measured_centre(stem, 256, 7, 5)
    pixels = (stem.frame.grid(centre) - _cell_in_grid(stem, 7, 5)) * torch.tensor([96.0, 128.0])
    assert pixels.abs().max() < 1e-3


@pytest.mark.parametrize("fine", [False, True], ids=["stride 16", "stride 8"])
def test_yolo_frames_are_the_centre_of_what_a_cell_sees(fine):
    """Along the direct path; maps doubled from deeper layers reach symmetrically around it."""
    side = 384
    config = NetworkConfig(stem="yolo11n", image_size=side, visible=1.0, dim=8, heads=2)
    stem = _direct_yolo_stem(config)
    crop = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    seen = stem.read(crop)
    features, frame, (rows, columns) = (
        (seen.fine, stem.fine_frame, stem.fine_size)
        if fine
        else (seen.features, stem.frame, stem.map_size)
    )
    assert features.shape[-2:] == (rows, columns)
    row = column = rows // 2
    response = torch.autograd.grad(features[0, :, row, column].sum(), crop)[0][0].sum(0)
    middles = (torch.arange(side) + 0.5) / side - 0.5
    centre = torch.stack([(response.sum(k) * middles).sum() / response.sum() for k in (0, 1)])
    cell = torch.tensor([(2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1])
    assert ((frame.grid(centre) - cell) * side / 2).abs().max() < PIXEL


def test_yolo_stem_needs_multiples_of_32():
    with pytest.raises(HandError, match="multiples of 32"):
        YoloStem(NetworkConfig(stem="yolo11n", image_size=176, visible=1.0))


def _linear_refinement(config, frame):
    """The real pyramid with bilinear deconvolutions; channels are all the same."""
    refinement = Refinement(config, frame).double().eval()
    nn.init.constant_(refinement.first.weight, 1 / config.dim)
    nn.init.zeros_(refinement.first.bias)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    for module in refinement.branches.modules():
        if isinstance(module, nn.ConvTranspose2d):
            with torch.no_grad():
                module.weight[:] = taps[:, None] * taps / module.in_channels
    return refinement


CONFIGS = {
    "patch": {},
    "patch, padding 2": {"patch_padding": 2},
    "patch, whole square": {"visible": 1.0, "patch_padding": 2},
    "patch of 8": {"patch_size": 8, "image_size": 128},
    **{name: {"stem": name, "image_size": 192, "visible": 1.0} for name in FAST_STEMS},
    "mobilenetv2_100, three quarters": {"stem": "mobilenetv2_100", "visible": 0.75},
    "mobilenetv2_100, level -2": {"stem": "mobilenetv2_100", "stem_level": -2, "visible": 1.0},
    "yolo11n": {"stem": "yolo11n", "image_size": 192, "visible": 1.0},
    "yolo11n, two thirds": {"stem": "yolo11n", "image_size": 192, "visible": 2 / 3},
    "hand-landmarks": {"stem": "hand-landmarks", "image_size": 224, "visible": 1.0},
}


def _sampled_map(config):
    """A linear stem, and what it gives the pyramid of a crop."""
    if config.stem not in ("yolo11n", "hand-landmarks"):
        stem = _stem(config, centre_taps=True)
        return stem, stem
    if config.stem == "yolo11n":
        stem = _direct_yolo_stem(config, centre_taps=True)
        read = stem
    else:
        stem = LandmarkStem(config).eval()  # its landmarks are in single precision in any case
        _linear(stem, centre_taps=True)

        def read(crop):  # what the image tokens are added to
            return stem.read(crop.float()).skip.double()

    stem.mean.zero_()  # nothing is added to the ramp
    stem.std.fill_(1.0)
    return stem, read


@pytest.mark.parametrize("axis", [0, 1], ids=["x", "y"])
@pytest.mark.parametrize("case", CONFIGS)
def test_ramp_through_stem_deconvolutions_and_sampler(case, axis):
    config = NetworkConfig(dim=16, heads=2, **CONFIGS[case])
    side = config.image_size
    stem, read_map = _sampled_map(config)
    refinement = _linear_refinement(config, stem.frame)
    middles = torch.arange(side, dtype=torch.float64) + 0.5  # px, 0 at the left edge of the crop
    ramp = middles.expand(side, side) if axis == 0 else middles[:, None].expand(side, side)
    with torch.no_grad():
        gain = refinement.pyramid(read_map(torch.full_like(ramp, FAINT).expand(1, 3, side, side)))
        maps = refinement.pyramid(read_map(FAINT * ramp.expand(1, 3, side, side)))
    rows, columns = maps[0].shape[-2:]
    # Points anywhere that all levels see between cells, away from the outermost cells.
    rng = torch.Generator().manual_seed(0)
    stride = side / rows
    reach = torch.tensor([columns / 2 - 2, rows / 2 - 2]) * stride / side
    points = (torch.rand(1, 500, 2, generator=rng, dtype=torch.float64) * 2 - 1) * reach
    grid = stem.frame.grid(points)
    assert len(maps) == 3
    for level, (features, ones) in enumerate(zip(maps, gain, strict=True)):
        assert features.shape[-2:] == (rows * 2**level, columns * 2**level)
        read = sample_aligned(features, grid)[..., 0] / sample_aligned(ones, grid)[..., 0]
        wanted = (points[..., axis] + 0.5) * side
        assert (read - wanted).abs().max() < PIXEL, f"level {level}"


def test_a_wrong_frame_is_caught():
    # The lag of odd kernels on a network of patches: half a patch off.
    with pytest.raises(AssertionError, match="off by"):
        _assert_centre_agrees("convnext_atto", stem_lag=15.5)


@pytest.mark.parametrize("name", ["densenet121", "resnet26d", "tf_efficientnet_lite0"])
def test_unmeasured_families_must_say_where_their_features_lie(name):
    small = {"image_size": 64, "visible": 1.0, "dim": 16, "heads": 2}
    with pytest.raises(HandError, match="stem_lag"):
        CnnStem(NetworkConfig(stem=name, **small))
    stem = CnnStem(NetworkConfig(stem=name, stem_lag=1.5, **small))
    assert stem.frame.shift[0] == pytest.approx(2 * (32 + 1.5) / 64 - 1)
    CnnStem(NetworkConfig(stem=name, scales=0, **small))  # nobody samples: nothing to know


def test_unknown_stem_names_a_near_one():
    with pytest.raises(HandError, match="mobilenetv2_100"):
        CnnStem(NetworkConfig(stem="mobilenet_v2_100"))
    assert timm.is_model("mobilenetv2_100")


def test_patch_stems_of_a_cnn_need_whole_patches():
    with pytest.raises(HandError, match="multiple"):
        CnnStem(NetworkConfig(stem="convnext_atto", image_size=200, visible=1.0))


@pytest.mark.parametrize(("tokens", "pose_tokens"), [("paper", 1), ("released", 16)])
@pytest.mark.parametrize("depth", [0, 2])
def test_shapes_of_what_the_trunk_reads(tokens, pose_tokens, depth):
    trunk = Trunk(NetworkConfig(dim=32, heads=2, depth=depth, image_size=64, tokens=tokens)).eval()
    with torch.no_grad():
        read = trunk(torch.randn(2, 3, 64, 64), torch.zeros(96), torch.zeros(10), torch.zeros(3))
    assert read.features.shape == (2, 32, 4, 3)
    assert read.pose.shape == (2, pose_tokens, 32)
    assert read.shape.shape == read.cam.shape == (2, 32)
    assert not torch.allclose(read.shape, read.cam)


def test_hidden_columns_do_not_matter():
    trunk = Trunk(NetworkConfig(dim=32, heads=2, depth=2, image_size=64)).eval()
    crop = torch.randn(1, 3, 64, 64)
    changed = crop.clone()
    changed[..., :8] = 9
    changed[..., 56:] = -9
    means = torch.zeros(96), torch.zeros(10), torch.zeros(3)
    with torch.no_grad():
        assert torch.equal(trunk(crop, *means).features, trunk(changed, *means).features)
        changed[..., 8] = 5
        assert not torch.equal(trunk(crop, *means).features, trunk(changed, *means).features)


def test_image_tokens_keep_their_place():
    """A bright patch changes its own cell more than any other (rows and columns not swapped)."""
    torch.manual_seed(0)
    trunk = Trunk(NetworkConfig(dim=32, heads=2, depth=1, image_size=64)).eval()
    crop = torch.zeros(1, 3, 64, 64)
    bright = crop.clone()
    bright[..., 16:32, 8 + 32 : 8 + 48] = 3.0  # row 1, column 2 of the visible map
    means = torch.zeros(96), torch.zeros(10), torch.zeros(3)
    with torch.no_grad():
        change = trunk(bright, *means).features - trunk(crop, *means).features
    assert change.abs().sum(1).flatten().argmax().item() == 1 * 3 + 2


def test_huge_is_the_released_size():
    with torch.device("meta"):
        trunk = Trunk(NetworkConfig.from_yaml("vit-huge"))
        refinement = Refinement(NetworkConfig.from_yaml("vit-huge"), trunk.frame)
    heads = sum(1280 * n + n for n in (6, 10, 3))  # counted with the backbone in the release
    assert sum(p.numel() for p in trunk.parameters()) + heads == 630_964_499
    assert sum(p.numel() for p in refinement.parameters()) == 8_316_429


def test_drop_path_grows_with_depth():
    trunk = Trunk(NetworkConfig(dim=32, heads=2, depth=3, image_size=64, drop_path=0.4))
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in trunk.blocks]
    assert rates == pytest.approx([0.0, 0.2, 0.4])
