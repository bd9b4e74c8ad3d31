"""Rotations, mirrors and cameras.

Camera frame: x right, y down, z forward, metres. Pixels: (0, 0) is the centre of the top left
pixel. The network sees a square crop through the crop camera: ``cam = (s, tx, ty)``, weak
perspective written as a full perspective one of long focal length (paper section 4.2, "K_cam").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "CROP_FOCAL",
    "HALF_PIXEL",
    "cam_to_crop_translation",
    "crop_to_full_translation",
    "default_intrinsics",
    "fit_translation",
    "full_to_crop_cam",
    "matrix_to_rotation_6d",
    "mirror_axis_angle",
    "mirror_points",
    "mirror_rotation",
    "onto_optical_axis",
    "project",
    "project_crop",
    "released_intrinsics",
    "rotation_6d_to_matrix",
]

# Focal length of the crop camera in units of the crop side: 5000 px on a 256 px crop, the numbers
# the released WiLoR and HaMeR share.
CROP_FOCAL = 5000.0 / 256.0

# px. K, and so every joint and keypoint here, counts from the middle of the first pixel; boxes and
# keypoints in YOLO label files, and MediaPipe's landmarks, count from the picture's border.
HALF_PIXEL = 0.5


def rotation_6d_to_matrix(rotation_6d: Tensor) -> Tensor:
    """Rotation matrices from the continuous 6D representation of Zhou et al. 2019.

    The six numbers are two 3-vectors in a row; Gram-Schmidt makes them the first two *columns*.

    Args:
        rotation_6d: (..., 6).

    Returns:
        (..., 3, 3).
    """
    first, second = rotation_6d[..., :3], rotation_6d[..., 3:]
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """The first two columns of rotation matrices (..., 3, 3) as (..., 6)."""
    return torch.cat((matrix[..., :, 0], matrix[..., :, 1]), dim=-1)


def mirror_points(points: np.ndarray, width: float | None = None) -> np.ndarray:
    """Mirror left and right.

    Args:
        points: (..., 3) in metres, or (..., 2) in pixels when `width` is given.
        width: picture width in pixels; pixel x becomes ``width - 1 - x``.
    """
    mirrored = np.array(points, copy=True)
    mirrored[..., 0] = -mirrored[..., 0] if width is None else width - 1 - mirrored[..., 0]
    return mirrored


def mirror_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation (..., 3, 3) seen in a mirror across the plane x = 0 (its own inverse)."""
    flip = np.array([-1.0, 1.0, 1.0], dtype=np.asarray(matrix).dtype)
    return flip[:, None] * matrix * flip


def mirror_axis_angle(axis_angle: np.ndarray) -> np.ndarray:
    """The axis-angle vectors (..., 3), radians, seen in a mirror across x = 0: (x, -y, -z)."""
    return axis_angle * np.array([1.0, -1.0, -1.0], dtype=np.asarray(axis_angle).dtype)


def default_intrinsics(width: int, height: int, focal: float | None = None) -> np.ndarray:
    """Intrinsics K (3, 3) in pixels of a picture nobody calibrated.

    Args:
        width, height: picture size in pixels.
        focal: focal length in pixels; max(width, height) (a field of view of 53 degrees along the
            longer side) when not known.
    """
    f = float(max(width, height) if focal is None else focal)
    return np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]], np.float32)


def released_intrinsics(width: int, height: int) -> np.ndarray:
    """The camera the released WiLoR assumes: f = 5000 / 256 * max(width, height).

    It puts a hand at arm's length some ten metres away, and its principal point is (W/2, H/2);
    use it only to compare with that code.
    """
    f = CROP_FOCAL * max(width, height)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]], np.float32)


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of camera-frame points (..., 3) in metres under K (3, 3)."""
    homogeneous = points @ np.asarray(intrinsics, dtype=points.dtype).T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def cam_to_crop_translation(cam: Tensor) -> Tensor:
    """Translation (B, 3), metres, in the crop camera for ``cam = (s, tx, ty)`` (B, 3)."""
    scale, tx, ty = cam.unbind(-1)
    return torch.stack((tx, ty, 2 * CROP_FOCAL / (scale + 1e-9)), dim=-1)


def onto_optical_axis(directions: np.ndarray) -> np.ndarray:
    """The least rotations (..., 3, 3) that turn directions (..., 3), camera frame, onto (0, 0, 1).

    Directions need no length. One that points straight back is turned about the y axis.
    """
    directions = np.asarray(directions, np.float64)
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(directions / np.maximum(length, 1e-12), -1, 0)
    # Rodrigues' formula for the turn about direction x (0, 0, 1) = (y, -x, 0).
    k = 1 / np.maximum(1 + z, 1e-9)
    rows = [[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]]
    turns = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return np.where((z > -1 + 1e-9)[..., None, None], turns, np.diag([-1.0, 1.0, -1.0]))


def project_crop(points: Tensor, cam: Tensor) -> Tensor:
    """Project hand-frame points into the crop.

    Args:
        points: (B, N, 3) metres.
        cam: (B, 3) crop camera (s, tx, ty).

    Returns:
        (B, N, 2) in crop units: 0 is the crop's centre, +-0.5 its border.
    """
    in_camera = points + cam_to_crop_translation(cam)[:, None]
    return CROP_FOCAL * in_camera[..., :2] / in_camera[..., 2:]


def crop_to_full_translation(
    cam: np.ndarray, center: np.ndarray, box_size: np.ndarray, intrinsics: np.ndarray
) -> np.ndarray:
    """Translations in the camera of the whole picture.

    Both cameras see the hand in the same pixels when depths inside the hand are small against
    its distance: tz = 2 f / (b s), and tx, ty shift by the crop's offset from the principal point.

    Args:
        cam: (N, 3) crop camera (s, tx, ty) of the *un-mirrored* hand.
        center: (N, 2) crop centres, px.
        box_size: (N,) crop sides b, px.
        intrinsics: K (3, 3), px.

    Returns:
        (N, 3) metres.
    """
    scaled = box_size * cam[:, 0] + 1e-9
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    depth = 2 * fx / scaled
    tx = cam[:, 1] + (center[:, 0] - intrinsics[0, 2]) * depth / fx
    ty = cam[:, 2] + (center[:, 1] - intrinsics[1, 2]) * depth / fy
    return np.stack((tx, ty, depth), axis=-1)


def fit_translation(
    points: np.ndarray,
    pixels: np.ndarray,
    intrinsics: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """The translations under which rigid points project nearest to given pixels.

    Perspective without approximation, in closed form: u (Z + t_z) = f_x (X + t_x) + c_x (Z + t_z)
    and the like for v are linear in t.

    Args:
        points: (N, J, 3) metres, already turned as the camera sees them.
        pixels: (N, J, 2) px.
        intrinsics: K (3, 3), px.
        weights: (N, J) of the points, 0 or more; all alike by default.

    Returns:
        (N, 3) metres, by least squares; zero for hands whose pixels say nothing.
    """
    points, pixels = np.asarray(points, np.float64), np.asarray(pixels, np.float64)
    K = np.asarray(intrinsics, np.float64)
    directions = (pixels - K[:2, 2]) / (K[0, 0], K[1, 1])  # x / z and y / z of the rays
    system = np.zeros((*pixels.shape, 3))
    system[..., 0, 0] = system[..., 1, 1] = 1
    system[..., 2] = -directions
    wanted = directions * points[..., 2:] - points[..., :2]
    if weights is not None:
        root = np.sqrt(np.asarray(weights, np.float64))[..., None]
        system, wanted = system * root[..., None], wanted * root
    count, equations = len(points), 2 * points.shape[1]
    inverse = np.linalg.pinv(system.reshape(count, equations, 3))
    return (inverse @ wanted.reshape(count, equations, 1))[..., 0]


def full_to_crop_cam(
    cam_t: np.ndarray, center: np.ndarray, box_size: np.ndarray, intrinsics: np.ndarray
) -> np.ndarray:
    """The inverse of :func:`crop_to_full_translation`: (N, 3) metres to (N, 3) ``(s, tx, ty)``."""
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    depth = cam_t[:, 2]
    scale = 2 * fx / (box_size * depth)
    tx = cam_t[:, 0] - (center[:, 0] - intrinsics[0, 2]) * depth / fx
    ty = cam_t[:, 1] - (center[:, 1] - intrinsics[1, 2]) * depth / fy
    return np.stack((scale, tx, ty), axis=-1)
