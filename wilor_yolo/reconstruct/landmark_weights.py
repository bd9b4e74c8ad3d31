"""The published weights of MediaPipe's hand landmark network, for :class:`.LandmarkBody`.

`hand_landmark_full.tflite` (Apache-2.0) lies in the wheel of mediapipe 0.10.21. OpenVINO reads its
graph; nothing in the file is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import WeightsError, one_line
from .export import import_openvino, read_openvino
from .landmark_body import LandmarkBody

__all__ = ["read_landmark_weights"]


def read_landmark_weights(path: str | Path) -> dict[str, Tensor]:
    """State dict of a `LandmarkBody` with the weights of a `.tflite` file.

    Args:
        path: `hand_landmark_full.tflite` of mediapipe 0.10.21.

    Raises:
        WeightsError: the file is missing, or holds another network.
        HandError: OpenVINO is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; check the path.")
    openvino = import_openvino()
    model = read_openvino(path, "is no .tflite file that can be read")
    body = LandmarkBody()
    try:
        _fill(body, openvino, model)
    except (ValueError, RuntimeError, IndexError) as error:
        reason = one_line(error)
        raise WeightsError(
            f"{path} is not hand_landmark_full.tflite of mediapipe 0.10.21 ({reason})."
        ) from None
    return body.state_dict()


@torch.no_grad()
def _fill(body: LandmarkBody, openvino: Any, model: Any) -> None:
    convolutions = [m for m in body.modules() if isinstance(m, nn.Conv2d)]
    nodes = [n for n in model.get_ordered_ops() if "Convolution" in n.get_type_name()]
    for convolution, node in zip(convolutions, nodes, strict=True):
        weight = _constant(openvino, node.input_value(1))
        convolution.weight.copy_(torch.from_numpy(weight.reshape(tuple(convolution.weight.shape))))
        assert convolution.bias is not None
        convolution.bias.copy_(torch.from_numpy(_bias_after(openvino, node).reshape(-1)))
    # Outputs: points, presence, side, joints. The published side is "left" as a selfie shows it,
    # which is a right hand in a picture that is not mirrored.
    outputs = [result.input_value(0).get_node() for result in model.get_results()]
    for layer, node in zip((body.points, body.side, body.joints), _pick(outputs), strict=True):
        product = node.input_value(0).get_node()
        weight = _constant(openvino, product.input_value(1))
        if weight.shape != tuple(layer.weight.shape):
            weight = weight.T
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(_constant(openvino, node.input_value(1)).reshape(-1)))


def _pick(outputs: list[Any]) -> Iterator[Any]:
    points, _, side, joints = outputs
    yield from (points, side.input_value(0).get_node(), joints)  # the side ends in a sigmoid


def _bias_after(openvino: Any, node: Any) -> np.ndarray:
    (user,) = (target.get_node() for target in node.output(0).get_target_inputs())
    return _constant(openvino, user.input_value(1))


def _constant(openvino: Any, output: Any) -> np.ndarray:
    """The value of an output that depends on constants only."""
    compiled = openvino.Core().compile_model(openvino.Model([output], []), "CPU")
    return np.array(compiled([])[0], np.float32)
