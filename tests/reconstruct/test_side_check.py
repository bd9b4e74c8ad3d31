"""A wrong side is found on the crop, and only a wrong one is changed."""

import numpy as np
import torch

from wilor_yolo.reconstruct.network import CoarseHand, NetworkOutput
from wilor_yolo.reconstruct.side_check import settle_sides


def _output(crops: np.ndarray, side: bool = True) -> NetworkOutput:
    """A network that takes a hand for right when its crop is brighter on the left."""
    half = crops.shape[2] // 2
    light = crops.astype(np.float32).mean(axis=(1, 3))
    logit = torch.from_numpy(light[:, :half].mean(1) - light[:, half:].mean(1))
    count = len(crops)
    mark = torch.from_numpy(light[:, 0]).view(count, 1)  # says which crop a row came from
    return NetworkOutput(
        cam=mark.repeat(1, 3),
        cam_t_crop=mark.repeat(1, 3),
        global_orient=torch.eye(3).repeat(count, 1, 1),
        hand_pose=torch.eye(3).repeat(count, 15, 1, 1),
        betas=torch.zeros(count, 10),
        vertices=torch.zeros(count, 778, 3),
        joints=torch.zeros(count, 21, 3),
        keypoints_2d_crop=torch.zeros(count, 21, 2),
        pose6d=torch.zeros(count, 96),
        coarse=CoarseHand(mark.repeat(1, 3), torch.zeros(count, 96), torch.zeros(count, 10)),
        side_logit=logit if side else None,
    )


def _crops() -> np.ndarray:
    ramp = np.linspace(200, 0, 8)
    right = np.broadcast_to(ramp[None, :, None], (8, 8, 3)).astype(np.uint8)
    return np.stack([right, right[:, ::-1], right])


def test_wrong_sides_are_mirrored_and_right_ones_left_alone():
    crops = _crops()
    settled, wrong = settle_sides(crops, _output(crops), _output)
    assert wrong.tolist() == [False, True, False]
    assert (settled.side_logit > 0).all()
    expected = _output(crops[[0, 0, 0]])  # the mirrored second crop is the first
    torch.testing.assert_close(settled.cam, expected.cam)
    torch.testing.assert_close(settled.coarse.cam, expected.coarse.cam)


def test_crops_with_colours_first_are_mirrored_too():
    crops = np.ascontiguousarray(_crops().transpose(0, 3, 1, 2))
    settled, wrong = settle_sides(
        crops, _output(_crops()), lambda some: _output(some.transpose(0, 2, 3, 1))
    )
    assert wrong.tolist() == [False, True, False]
    assert (settled.side_logit > 0).all()


def test_a_hand_that_looks_left_both_ways_keeps_its_likelier_view():
    crops = _crops()[:1]

    def never(seen):
        output = _output(seen)
        output.side_logit = output.side_logit - 1000  # the mirrored view even less
        return output

    first = _output(crops)
    first.side_logit = first.side_logit - 500
    settled, wrong = settle_sides(crops, first, never)
    assert not wrong.any()
    torch.testing.assert_close(settled.cam, first.cam)
    first.side_logit = first.side_logit - 2000  # now the mirrored view is the likelier one
    assert settle_sides(crops, first, never)[1].all()


def test_networks_that_tell_no_sides_have_no_say():
    crops = _crops()
    output = _output(crops, side=False)
    settled, wrong = settle_sides(crops, output, _output)
    assert settled is output and not wrong.any()
