"""From what the network says of crops to `Hands` in the camera of the whole picture.

Left hands, mirrored on the way in (:mod:`wilor_yolo.crops`), are un-mirrored here and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..crops import CropGeometry
from ..geometry import (
    crop_to_full_translation,
    fit_translation,
    mirror_points,
    mirror_rotation,
    project,
)
from ..hands import Hands
from .hand_size import NEAREST
from .network import NetworkOutput
from .ray import ray_rotation, ray_translation, turn_to_camera

__all__ = ["place_in_picture"]


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
