"""`HandReconstructor`: detector results in, `Hands` out.

The thin adapter of the chain: results are read by :mod:`.detector_results`, crops cut by
:mod:`wilor_yolo.crops` (left hands mirrored), and what the network says of them is un-mirrored and
carried back by :mod:`.placing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from ..crops import CropGeometry, crop_geometry, crop_hands, normalise, require_bgr
from ..devices import torch_device
from ..errors import HandError, WeightsError, one_line
from ..geometry import default_intrinsics, released_intrinsics
from ..hands import Hands
from ..mano.files import load_hand_model
from ..released_crops import SIZE as RELEASED_SIZE
from ..released_crops import released_crops
from ..weights_dir import RECONSTRUCTOR, or_shipped, shipped
from .checkpoints import load_network, read_info
from .detector_results import Request, intrinsics_of, read_result
from .export import export_network, is_exported
from .exported import BACKENDS, ExportedNetwork, compile_network, load_exported
from .hand_size import with_betas, with_hand_length
from .network import HandNetwork, NetworkOutput
from .placing import place_in_picture
from .pointing import upright_turn
from .second_look import centred_crops, turn_hands, turned_crops
from .side_check import settle_sides

__all__ = ["HandReconstructor"]

MAX_BATCH = 32  # hands a forward pass; bounds memory on pictures of crowds


class HandReconstructor:
    """Rebuilds detected hands in 3D. `network` is the torch module, or what was exported from one.

    Args:
        weights: a `.safetensors` of ours, the released `wilor_final.ckpt`, or a network that
            :meth:`export` wrote (`.onnx`, OpenVINO's `.xml`); the shipped weights by default.
        hand_model: a MANO `.pkl` or `.npz` to pose instead of the free hand, or instead of the
            buffers inside a released checkpoint.
        device: torch device, such as ``"cpu"``, ``"cuda:0"``, ``0`` or ``"auto"``; of exported
            networks the CPU, which is also their ``"auto"``.
        heads: attention heads of a released checkpoint, which stand in no tensor shape; 16 if
            not given.
        preprocess: ``"fast"``, or ``"released"`` for the crops of the released code, number for
            number (:mod:`wilor_yolo.released_crops`; networks of 256 px only).
        backend: what runs the network: ``"torch"``, ``"onnx"`` (ONNX Runtime) or ``"openvino"``,
            the fastest on CPUs (docs/speed.md). By default what the file was made for. Torch
            weights with ``"openvino"`` are converted in memory, which takes some seconds.
        check_sides: correct the sides of detections that the crop contradicts
            (:mod:`wilor_yolo.reconstruct.side_check`); of networks that tell sides.
        second_look: look again at hands that do not point up
            (:mod:`wilor_yolo.reconstruct.second_look`); of networks made for it.

    Raises:
        WeightsError: a file is missing, damaged or foreign.
        HandError: an unknown `preprocess` or `backend`, or one that does not fit the network.
    """

    network: HandNetwork | ExportedNetwork

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        hand_model: str | Path | None = None,
        device: str | int | torch.device = "cpu",
        heads: int | None = None,
        preprocess: str = "fast",
        backend: str | None = None,
        check_sides: bool = True,
        second_look: bool = True,
    ) -> None:
        if preprocess not in ("fast", "released"):
            raise HandError(f'preprocess={preprocess!r} is unknown; use "fast" or "released".')
        if backend not in (None, *BACKENDS):
            raise HandError(f"backend={backend!r} is unknown; use one of {', '.join(BACKENDS)}.")
        self.weights = shipped(RECONSTRUCTOR) if weights is None else or_shipped(weights)
        on_cpu = is_exported(self.weights) or backend not in (None, "torch")
        wanted = "cpu" if on_cpu and device == "auto" else torch_device(device)
        if on_cpu and wanted != "cpu":
            raise HandError(f"exported networks run on the CPU; device={wanted} needs torch.")
        self.device = torch.device(wanted)
        self.network = self._load(heads, hand_model, backend)
        side = self.network.config.image_size
        if preprocess == "released" and side != RELEASED_SIZE:
            raise HandError(
                f'preprocess="released" cuts {RELEASED_SIZE} px crops, this network sees {side} px.'
            )
        self.preprocess = preprocess
        self.check_sides = check_sides
        self.second_look = second_look and self.network.config.second_look and preprocess == "fast"

    def _load(
        self, heads: int | None, hand_model: str | Path | None, backend: str | None
    ) -> HandNetwork | ExportedNetwork:
        released = self.weights.suffix in (".ckpt", ".pth", ".pt")
        if heads is not None and not released:
            raise WeightsError("heads= belongs to released .ckpt files; others name their own.")
        if is_exported(self.weights):
            if hand_model is not None:
                raise HandError("the hand is part of an exported file; export with hand_model=.")
            return load_exported(self.weights, backend)
        if backend == "onnx":
            raise HandError('backend="onnx" needs an .onnx file; make it with .export("x.onnx").')
        model = None if hand_model is None else load_hand_model(hand_model)
        if released:
            from .released import RELEASED_HEADS, load_released

            network = load_released(self.weights, heads or RELEASED_HEADS, model)
        else:
            network = load_network(self.weights, model)
        if backend == "openvino":
            return compile_network(network)
        network.to(self.device)
        network.to(memory_format=torch.channels_last)
        return network.eval()

    @property
    def backend(self) -> str:
        """What runs the network: ``"torch"``, ``"onnx"`` or ``"openvino"``."""
        return self.network.backend if isinstance(self.network, ExportedNetwork) else "torch"

    def export(self, path: str | Path) -> Path:
        """Write the whole network, hand model included, for other runtimes.

        Args:
            path: ends in `.onnx`, or in `.xml` for OpenVINO (and its `.bin`). The number of hands
                stays open. ``HandReconstructor(path)`` reads it back; docs/reconstructor.md says
                what inputs, outputs and metadata are.

        Returns:
            The path.

        Raises:
            HandError: this network is an exported one already, or `.export_network`'s reasons.
        """
        if isinstance(self.network, ExportedNetwork):
            raise HandError("this network was exported already; export from its torch weights.")
        ours = self.weights.suffix == ".safetensors"
        info = read_info(self.weights) if ours else {"weights": self.weights.name}
        return export_network(path, self.network, info)

    @overload
    def reconstruct(
        self,
        results: Sequence[Any],
        K: np.ndarray | None = None,
        *,
        hand_length: float | None = None,
        betas: np.ndarray | None = None,
        check_sides: bool | None = None,
    ) -> list[Hands]: ...

    @overload
    def reconstruct(
        self,
        results: Any,
        K: np.ndarray | None = None,
        *,
        hand_length: float | None = None,
        betas: np.ndarray | None = None,
        check_sides: bool | None = None,
    ) -> Hands: ...

    def reconstruct(
        self,
        results: Any,
        K: np.ndarray | None = None,
        *,
        hand_length: float | None = None,
        betas: np.ndarray | None = None,
        check_sides: bool | None = None,
    ) -> Hands | list[Hands]:
        """Rebuild every hand of one detector result, or of a list of them in one batch.

        Args:
            results: Ultralytics `Results` (class 0 left, 1 right), or a list of them; what
                ``predict(stream=True)`` gives, one by one.
            K: (3, 3) intrinsics in px of all these pictures. By default the focal length of the
                file's EXIF data, else max(width, height).
            hand_length: metres from wrist to the tip of the middle finger of these hands, if
                known (:func:`.hand_size.hand_lengths`); fixes size and distance.
            betas: (10,) shape of these hands, if known; likewise.
            check_sides: False takes the classes for true; by default as the reconstructor was
                made.

        Returns:
            `Hands` of one picture, or a list in the order given.

        Raises:
            HandError: no result of a detector of left and right hands; `K` is no (3, 3) matrix,
                or a picture is not (H, W, 3) uint8; both of `hand_length` and `betas`; `betas`
                with an exported network.
        """
        one = not isinstance(results, (list, tuple))
        requests = [read_result(result, K) for result in ([results] if one else results)]
        found = self._run(requests, self.check_sides if check_sides is None else check_sides)
        done = [self._sized(hands, hand_length, betas) for hands in found]
        return done[0] if one else done

    def intrinsics_of_crops(self, width: int, height: int) -> np.ndarray:
        """K (3, 3), px, under which joints project to where the network sees them in its crops.

        A network of `frame: camera`, as the released ones, takes each crop for one seen from afar;
        under a short focal length its hands, posed so, would project elsewhere.
        """
        far = self.network.config.frame == "camera"
        return released_intrinsics(width, height) if far else default_intrinsics(width, height)

    def reconstruct_boxes(
        self,
        image: np.ndarray,
        bbox_xyxy: np.ndarray,
        is_right: np.ndarray,
        K: np.ndarray | None = None,
        *,
        hand_length: float | np.ndarray | None = None,
        betas: np.ndarray | None = None,
    ) -> Hands:
        """Rebuild hands whose boxes came from elsewhere.

        Args:
            image: (H, W, 3) uint8, BGR.
            bbox_xyxy: (N, 4) px.
            is_right: (N,) bool; taken for true.
            K: (3, 3) intrinsics, px; f = max(W, H) by default.
            hand_length, betas: as for :meth:`reconstruct`; here also one a hand, (N,) and (N, 10).

        Raises:
            HandError: shapes that do not go together, an empty box, a side that is no bool.
        """
        require_bgr(image)
        try:
            boxes = np.asarray(bbox_xyxy, np.float32)
        except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: it wants gradients
            raise HandError(f"bbox_xyxy must be (N, 4) pixels: {one_line(error)}") from None
        if boxes.size and (boxes.ndim not in (1, 2) or boxes.shape[-1] != 4):
            raise HandError(f"bbox_xyxy must be (N, 4) pixels, got {boxes.shape}.")
        boxes = boxes.reshape(-1, 4)
        if not (boxes[:, 2:] > boxes[:, :2]).all():  # so is NaN
            raise HandError("bbox_xyxy has empty boxes; give x1 < x2 and y1 < y2, in pixels.")
        sides = np.asarray(is_right).reshape(-1)
        if not np.isin(sides, (0, 1)).all():
            raise HandError("is_right takes True or False, one a box.")
        sides = sides.astype(bool)
        if len(sides) != len(boxes):
            raise HandError(f"{len(boxes)} boxes need {len(boxes)} sides, got {len(sides)}.")
        height, width = image.shape[:2]
        hands = Hands(boxes, np.ones(len(boxes), np.float32), sides, (width, height))
        request = Request(image, hands, intrinsics_of(K, width, height, None))
        done = self._run([request], check_sides=False)[0]
        return self._sized(done, hand_length, betas)

    def _sized(
        self, hands: Hands, hand_length: float | np.ndarray | None, betas: np.ndarray | None
    ) -> Hands:
        if hand_length is not None and betas is not None:
            raise HandError("hand_length and betas both fix the size; keep one.")
        if hand_length is not None:
            return with_hand_length(hands, hand_length)
        if betas is None:
            return hands
        if isinstance(self.network, ExportedNetwork):
            raise HandError('betas= poses the hand anew, which needs backend="torch".')
        return with_betas(hands, self.network.hand, betas)

    def _run(self, requests: list[Request], check_sides: bool) -> list[Hands]:
        config = self.network.config
        geometries = [
            crop_geometry(
                r.hands.bbox_xyxy,
                r.hands.is_right,
                box_scale=config.box_scale,
                aspect=config.visible,
            )
            for r in requests
        ]
        crops = [
            released_crops(r.image, geometry)
            if self.preprocess == "released"
            else crop_hands(r.image, geometry, config.image_size)
            for r, geometry in zip(requests, geometries, strict=True)
        ]
        network = self.network
        if isinstance(network, ExportedNetwork):
            faces = network.faces
        else:
            faces = network.hand.faces.cpu().numpy().astype(np.int32)
        if not any(len(r.hands) for r in requests):
            return [r.hands.reconstructed_none(r.intrinsics, faces) for r in requests]
        output, wrong = self._look(np.concatenate(crops), check_sides)
        stops = np.cumsum([len(r.hands) for r in requests])
        geometries = _turned_over(geometries, wrong)
        if self.second_look:
            output, geometries = self._look_again(requests, geometries, output, check_sides)
        done = []
        for request, geometry, stop in zip(requests, geometries, stops, strict=True):
            if not len(request.hands):  # as without neighbours
                done.append(request.hands.reconstructed_none(request.intrinsics, faces))
                continue
            placed = place_in_picture(
                replace(request.hands, is_right=geometry.is_right),
                output.take(slice(stop - len(request.hands), stop)),
                geometry,
                request.intrinsics,
                ray=config.frame == "ray",
            )
            done.append(replace(placed, faces=faces))
        return done

    def _look(self, crops: np.ndarray, check_sides: bool) -> tuple[NetworkOutput, np.ndarray]:
        """What the network says of N crops, and (N,) which of them it had to mirror for that."""
        output = self._forward(crops)
        if check_sides:
            return settle_sides(crops, output, self._forward)
        return output, np.zeros(len(crops), bool)

    def _look_again(
        self,
        requests: list[Request],
        geometries: list[CropGeometry],
        output: NetworkOutput,
        check_sides: bool,
    ) -> tuple[NetworkOutput, list[CropGeometry]]:
        """Put in the place of hands that do not point up what their turned crops show."""
        config = self.network.config
        keypoints = output.keypoints_2d_crop.cpu().numpy()
        turn = upright_turn(keypoints)
        chosen = np.flatnonzero(turn)
        if not len(chosen):
            return output, geometries
        stops = np.cumsum([len(r.hands) for r in requests])[:-1]
        turns = np.split(turn, stops)
        geometries = [
            centred_crops(geometry, seen, part != 0, config.box_scale)
            for geometry, seen, part in zip(
                geometries, np.split(keypoints, stops), turns, strict=True
            )
        ]
        crops = [
            crop_hands(request.image, turned_crops(geometry, part), config.image_size)
            for request, geometry, part in zip(requests, geometries, turns, strict=True)
        ]
        again, wrong = self._look(np.concatenate(crops), check_sides)
        # A mirrored crop is turned the other way.
        back = np.where(wrong, turn[chosen], -turn[chosen])
        place = torch.arange(len(turn))
        place[chosen] = len(turn) + torch.arange(len(chosen))
        mirrored = np.zeros(len(turn), bool)
        mirrored[chosen] = wrong
        joined = NetworkOutput.concatenate([output, turn_hands(again, back)]).take(place)
        return joined, _turned_over(geometries, mirrored)

    def _forward(self, crops: np.ndarray) -> NetworkOutput:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(crops), MAX_BATCH):
                chosen = crops[start : start + MAX_BATCH]
                batch = torch.from_numpy(normalise(chosen) if chosen.dtype == np.uint8 else chosen)
                batch = batch.to(self.device, memory_format=torch.channels_last)
                parts.append(self.network(batch))
        output = NetworkOutput.concatenate(parts)
        if not all(torch.isfinite(part).all() for part in output.tensors.values()):
            raise WeightsError(
                f"{self.weights}: the network gives numbers that are not finite; its weights are "
                "damaged or come from a training that failed, take others."
            )
        return output


def _turned_over(geometries: list[CropGeometry], wrong: np.ndarray) -> list[CropGeometry]:
    """Crops of several pictures with the sides of those of `wrong` (N,), over all, changed."""
    stops = np.cumsum([len(geometry.size) for geometry in geometries])[:-1]
    return [
        replace(geometry, is_right=geometry.is_right ^ part)
        for geometry, part in zip(geometries, np.split(wrong, stops), strict=True)
    ]
