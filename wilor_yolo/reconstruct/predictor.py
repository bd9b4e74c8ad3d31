"""`HandReconstructor`: detector results in, `Hands` out.

The thin adapter of the chain. It duck-types Ultralytics `Results` (`boxes`, `keypoints`,
`orig_img`, `path`) and imports nothing of Ultralytics. Left hands are mirrored on the way in
(:mod:`wilor_yolo.crops`) and un-mirrored here, in :func:`place_in_picture`, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from ..crops import CropGeometry, crop_geometry, crop_hands, normalise, require_bgr
from ..devices import torch_device
from ..errors import HandError, WeightsError
from ..geometry import (
    crop_to_full_translation,
    default_intrinsics,
    fit_translation,
    mirror_points,
    mirror_rotation,
    project,
)
from ..hands import Hands
from ..images import exif_focal
from ..mano.files import load_hand_model
from ..released_crops import SIZE as RELEASED_SIZE
from ..released_crops import released_crops
from ..skeleton import LEFT, RIGHT
from ..weights_dir import RECONSTRUCTOR, or_shipped, shipped
from .checkpoints import load_network, read_info
from .export import export_network, is_exported
from .exported import BACKENDS, ExportedNetwork, compile_network, load_exported
from .hand_size import NEAREST, with_betas, with_hand_length
from .network import HandNetwork, NetworkOutput
from .pointing import upright_turn
from .ray import ray_rotation, ray_translation, turn_to_camera
from .second_look import centred_crops, turn_hands, turned_crops
from .side_check import settle_sides

__all__ = ["HandReconstructor", "place_in_picture"]

MAX_BATCH = 32  # hands a forward pass; bounds memory on pictures of crowds


@dataclass(frozen=True)
class _Request:
    """One picture and its hands, on the way through the network."""

    image: np.ndarray
    hands: Hands
    intrinsics: np.ndarray


class HandReconstructor:
    """Rebuilds detected hands in 3D. `network` is the torch module, or what was exported from one.

    Args:
        weights: a `.safetensors` of ours, the released `wilor_final.ckpt`, or a network that
            :meth:`export` wrote (`.onnx`, OpenVINO's `.xml`); the shipped weights by default.
        hand_model: a MANO `.pkl` or `.npz` to pose instead of the free hand, or instead of the
            buffers inside a released checkpoint.
        device: torch device, such as ``"cpu"``, ``"cuda:0"``, ``0`` or ``"auto"``.
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
        self.device = torch.device(torch_device(device))
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
        exported = is_exported(self.weights)
        if self.device.type != "cpu" and (exported or backend not in (None, "torch")):
            raise HandError(f"exported networks run on the CPU; device={self.device} needs torch.")
        if exported:
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
        requests = [_request(result, K) for result in ([results] if one else results)]
        found = self._run(requests, self.check_sides if check_sides is None else check_sides)
        done = [self._sized(hands, hand_length, betas) for hands in found]
        return done[0] if one else done

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
        boxes = np.asarray(bbox_xyxy, np.float32)
        if boxes.size and (boxes.ndim > 2 or boxes.shape[-1] != 4):
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
        request = _Request(image, hands, _intrinsics(K, width, height, None))
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

    def _run(self, requests: list[_Request], check_sides: bool) -> list[Hands]:
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
        if not any(len(r.hands) for r in requests):
            return [r.hands for r in requests]
        output, wrong = self._look(np.concatenate(crops), check_sides)
        stops = np.cumsum([len(r.hands) for r in requests])
        geometries = _turned_over(geometries, wrong)
        if self.second_look:
            output, geometries = self._look_again(requests, geometries, output, check_sides)
        network = self.network
        if isinstance(network, ExportedNetwork):
            faces = network.faces
        else:
            faces = network.hand.faces.cpu().numpy().astype(np.int32)
        done = []
        for request, geometry, stop in zip(requests, geometries, stops, strict=True):
            if not len(request.hands):  # as without neighbours
                done.append(request.hands)
                continue
            placed = place_in_picture(
                replace(request.hands, is_right=geometry.is_right),
                output.rows(stop - len(request.hands), stop),
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
        requests: list[_Request],
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


def place_in_picture(
    hands: Hands,
    output: NetworkOutput,
    geometry: CropGeometry,
    intrinsics: np.ndarray,
    *,
    ray: bool,
) -> Hands:
    """Carry what the network says of N crops back to the whole picture.

    Left hands are un-mirrored: x of vertices and joints, and t_x of the camera, change sign. The
    parameters stay those of the right hand the network saw.

    Args:
        hands: the N detections.
        output: the network's result for their crops, row by row.
        geometry: where the crops lie.
        intrinsics: K (3, 3), px.
        ray: whether the network speaks of the ray frames of the crops (`NetworkConfig.frame`);
            the hands are then turned into the camera frame, and placed where their perspective
            projection fits the keypoints in the crop best. Otherwise the released formulas hold,
            which take the hand for flat: 0.35 to 1.2 m away, the true hand of a perfect network
            would be 5 cm off on average, and 0.9 cm with the fit.
    """
    vertices = output.vertices.cpu().numpy().copy()
    joints = output.joints.cpu().numpy().copy()
    global_orient = output.global_orient.cpu().numpy()
    cam = output.cam.cpu().numpy().copy()
    left = ~geometry.is_right
    vertices[left] = mirror_points(vertices[left])
    joints[left] = mirror_points(joints[left])
    cam[left, 1] = -cam[left, 1]
    if ray:
        turn = ray_rotation(geometry.center, intrinsics)
        ray_t = ray_translation(cam, geometry.center, geometry.size, intrinsics)
        turned = turn_to_camera(vertices, joints, ray_t, turn)
        vertices, joints = turned.vertices, turned.joints
        pixels = geometry.to_image(output.keypoints_2d_crop.cpu().numpy())
        fitted = fit_translation(joints, pixels, intrinsics)
        # A network that knows nothing yet may put keypoints where no hand can be.
        cam_t = np.where(fitted[:, 2:] > NEAREST, fitted, turned.cam_t)
        # The parameters are a right hand's: for a left one, the mirrored turn.
        right_turn = np.where(left[:, None, None], mirror_rotation(turn), turn)
        global_orient = right_turn.transpose(0, 2, 1) @ global_orient
    else:
        cam_t = crop_to_full_translation(cam, geometry.center, geometry.size, intrinsics)
    vertices, joints, cam_t, global_orient = (
        array.astype(np.float32) for array in (vertices, joints, cam_t, global_orient)
    )
    return replace(
        hands,
        vertices=vertices,
        joints=joints,
        keypoints_2d=project(joints + cam_t[:, None], intrinsics),
        global_orient=global_orient,
        hand_pose=output.hand_pose.cpu().numpy(),
        betas=output.betas.cpu().numpy(),
        cam_t=cam_t,
        K=np.asarray(intrinsics, np.float32),
    )


def _request(result: Any, K: np.ndarray | None) -> _Request:
    if not hasattr(result, "boxes"):
        raise HandError(
            f"a {type(result).__name__} is no detector result; give Results, or a list of them."
        )
    names = getattr(result, "names", None)
    if names is not None and not _are_sides(names):
        shown = ", ".join(str(names[i]) for i in list(names)[:3])
        raise HandError(
            f"the detector's classes are {shown}, {len(names)} in all, not left (0) and right (1) "
            "hands; give its boxes and their sides to reconstruct_boxes."
        )
    if result.boxes is None:
        raise HandError("these Results have no boxes; give those of a detector of hands.")
    image = result.orig_img
    height, width = image.shape[:2]
    path = str(getattr(result, "path", None) or "")
    if re.fullmatch(r"image\d+\.jpg", path):
        path = ""  # Ultralytics' name for an array
    boxes = result.boxes
    keypoints = getattr(result, "keypoints", None)
    hands = Hands(
        bbox_xyxy=_numpy(boxes.xyxy).reshape(-1, 4),
        confidence=_numpy(boxes.conf),
        is_right=_numpy(boxes.cls).astype(int) == RIGHT,
        image_size=(width, height),
        source=path or None,
        track_id=None if boxes.id is None else _numpy(boxes.id).astype(np.int64),
        keypoints_2d_detector=_keypoints(keypoints, len(boxes)),
    )
    return _Request(image, hands, _intrinsics(K, width, height, hands.source))


def _are_sides(names: dict[int, str]) -> bool:
    """Two classes; where their names speak of sides, the left one first."""
    if len(names) != 2:
        return False
    first, second = (str(names[i]).lower() for i in (LEFT, RIGHT))
    return "right" not in first and "left" not in second


def _keypoints(keypoints: Any, count: int) -> np.ndarray | None:
    if keypoints is None or keypoints.data.shape[1:] != (21, 3) or len(keypoints.data) != count:
        return None
    return _numpy(keypoints.data)


def _intrinsics(K: np.ndarray | None, width: int, height: int, source: str | None) -> np.ndarray:
    if K is None:
        focal = exif_focal(source, width, height) if source and Path(source).is_file() else None
        return default_intrinsics(width, height, focal)
    try:
        matrix = np.asarray(K, np.float32)
    except (ValueError, TypeError):  # ragged, or no numbers
        matrix = np.zeros(0, np.float32)
    right = matrix.shape == (3, 3) and bool(np.isfinite(matrix).all())
    if right:
        (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
        right = min(fx, fy) > 0 and np.allclose(matrix, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if not right:
        raise HandError(
            "K must be a (3, 3) camera matrix with positive focal lengths in pixels: "
            f"[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; got {matrix.tolist()}."
        )
    return matrix


def _numpy(value: Any) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(array, np.float32)
