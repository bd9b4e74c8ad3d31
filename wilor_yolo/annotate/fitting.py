"""Fit the hand model to 2D landmarks (paper section 3, Eqs. 2 to 4). All hands of a batch at once.

    E = L_proj + w_bone L_BL + w_angle L_A + w_prior E_prior + w_shape |betas|^2 [+ w_hint L_hint]

L_proj (Eq. 2) is the L1 distance of projected joints and landmarks, weighted by the landmarks'
confidence, in units of the hand's size in the picture. L_BL and L_A (Eq. 3) are in
:mod:`.biomechanics`, E_prior (Eq. 4) in :mod:`.mesh_prior`. The last term is ours: the paper names
none, and a single view cannot tell a small near hand from a large far one. L_hint is there only
where the annotator also guessed joints in 3D: their shape, without place and size, helps to choose
between the depth orders that one view allows.

The paper projects by weak perspective "with the estimated intrinsics"; the default here is full
perspective with the picture's K, weak perspective is an option.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import HandError
from ..geometry import matrix_to_rotation_6d, mirror_points, rotation_6d_to_matrix
from ..mano.layer import HandLayer
from .biomechanics import HandLimits, angle_loss, bone_loss, read_limits
from .first_guess import Templates, axis_to_ray, guess, make_templates
from .fit_settings import FitSettings, Stage, Weights
from .fitted import ACCEPTED, FittedHands
from .mesh_prior import HandPrior, load_mesh_prior

__all__ = ["FitSettings", "HandFitter", "Stage", "Weights"]

MIN_LANDMARKS = 8
_SETTLED_STEPS = 15


class _Target(NamedTuple):
    """What is fitted to, right-hand view: `points` (B, 21, 2) px, `weights` (B, 21) that sum to 1
    over a hand's joints, `size` (B,) px, `intrinsics` (B, 3, 3), `hint` (B, 21, 3) a normalised 3D
    guess in the frame `to_ray` (B, 3, 3) turns to, `hinted` (B,) 1 where there is one."""

    points: Tensor
    weights: Tensor
    size: Tensor
    intrinsics: Tensor
    hint: Tensor
    hinted: Tensor
    to_ray: Tensor

    def of(self, index: Tensor) -> _Target:
        return _Target(*(part[index] for part in self))


class _Posed(NamedTuple):
    """`canonical` (B, 778, 3), wrist at the origin and unturned, `joints` (B, 21, 3) in the camera
    frame and `root` (B, 3), the wrist in the model's frame; all metres."""

    canonical: Tensor
    joints: Tensor
    root: Tensor


class HandFitter:
    """Fits hands in batches.

    Args:
        layer: the hand model; the free hand by default.
        prior: mesh prior made for the same model; the shipped one by default.
        limits: biomechanical intervals; `cfg/biomechanics.yaml` by default.
        settings: weights and schedule.
        device: torch device, such as "cpu" or "cuda:0", that model, prior and limits are moved to.
        batch: most hands fitted at once.
    """

    def __init__(
        self,
        layer: HandLayer | None = None,
        prior: HandPrior | None = None,
        limits: HandLimits | None = None,
        settings: FitSettings | None = None,
        device: str = "cpu",
        batch: int = 128,
    ) -> None:
        self.layer = (layer or HandLayer.free()).to(device)
        self.prior = (prior or load_mesh_prior()).to(device)
        self.limits = (limits or read_limits()).to(device)
        self.settings = settings or FitSettings()
        self.device = device
        self.batch = batch
        self._templates: Templates = make_templates(self.layer, self.prior)

    def __call__(
        self,
        keypoints: np.ndarray,
        is_right: np.ndarray,
        intrinsics: np.ndarray,
        hints: np.ndarray | None = None,
    ) -> FittedHands:
        """Fit N hands.

        Args:
            keypoints: (N, 21, 3) x px, y px, confidence 0 to 1 (0: unknown).
            is_right: (N,) bool.
            intrinsics: (N, 3, 3) px, of each hand's picture.
            hints: (N, 21, 3) another's guess of the joints in 3D, any origin and scale, x right,
                y down, z forward as seen along the ray through the hand (MediaPipe's world
                landmarks are that); NaN for hands without one.
        """
        keypoints = np.asarray(keypoints, np.float32)
        is_right = np.asarray(is_right, bool)
        intrinsics = np.asarray(intrinsics, np.float32)
        shapes = keypoints.shape[1:], is_right.shape, intrinsics.shape
        count = len(keypoints)
        if hints is None:
            hints = np.full((count, 21, 3), np.nan, np.float32)
        hints = np.asarray(hints, np.float32)
        if hints.shape != (count, 21, 3):
            raise HandError(f"3D hints must be ({count}, 21, 3), got {hints.shape}.")
        if shapes != ((21, 3), (count,), (count, 3, 3)):
            raise HandError(f"fitting needs (N, 21, 3), (N,) and (N, 3, 3), got {shapes}.")
        parts = [
            self._fit(
                keypoints[i : i + self.batch],
                is_right[i : i + self.batch],
                intrinsics[i : i + self.batch],
                hints[i : i + self.batch],
            )
            for i in range(0, max(count, 1), self.batch)
        ]
        return parts[0] if len(parts) == 1 else FittedHands.joined(parts)

    def _fit(
        self,
        keypoints: np.ndarray,
        is_right: np.ndarray,
        intrinsics: np.ndarray,
        hints: np.ndarray,
    ) -> FittedHands:
        if not len(keypoints):
            return FittedHands.none()
        enough = (keypoints[..., 2] > 0).sum(1) >= MIN_LANDMARKS
        target = self._target(keypoints, is_right, intrinsics, hints)
        start = guess(
            self._templates, target.points, target.weights, target.intrinsics, self.settings.starts
        )
        starts, hands = self.settings.starts, len(keypoints)
        owner = torch.arange(hands, device=self.device).repeat_interleave(starts)
        values = {
            "orient": matrix_to_rotation_6d(start.rotations.flatten(0, 1)),
            "wrist": _to_free(start.wrist.flatten(0, 1), target.of(owner)),
            "pose": start.poses.flatten(0, 1),
            "betas": torch.zeros(hands * starts, 10, device=self.device),
        }
        earlier = torch.zeros(0)
        for stage in self.settings.stages:
            values, earlier, energy = self._run_stage(stage, values, target.of(owner))
            values, owner, earlier = _best(values, owner, earlier, energy, stage.keep)
        if len(owner) > hands:
            energy = self._energy(values, target.of(owner))[0]
            values, owner, earlier = _best(values, owner, earlier, energy, 1)
        return self._result(values, target, earlier, enough, is_right)

    def _target(
        self,
        keypoints: np.ndarray,
        is_right: np.ndarray,
        intrinsics: np.ndarray,
        hints: np.ndarray,
    ) -> _Target:
        points, K = keypoints[..., :2].copy(), intrinsics
        # A mirrored camera: about the principal point, so that K stays as it is.
        centre = K[:, 0, 2][:, None]
        points[..., 0] = np.where(is_right[:, None], points[..., 0], 2 * centre - points[..., 0])
        confidence = keypoints[..., 2]
        known = confidence > 0
        low = np.where(known[..., None], points, np.inf).min(1)
        high = np.where(known[..., None], points, -np.inf).max(1)
        size = (high - low).max(1)
        size = np.where(np.isfinite(size), size, 1.0).clip(1.0)
        points = np.where(known[..., None], points, 0.0)
        weights = confidence / confidence.sum(1, keepdims=True).clip(1e-9)
        hints = np.where(is_right[:, None, None], hints, mirror_points(hints))
        hinted = np.isfinite(hints).all((1, 2))
        hints = np.where(hinted[:, None, None], hints, 0.0)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=self.device)

        middle = np.where(np.isfinite(low), low, 0) / 2 + np.where(np.isfinite(high), high, 0) / 2
        return _Target(
            tensor(points),
            tensor(weights),
            tensor(size),
            tensor(K),
            _normalised(tensor(hints)),
            tensor(hinted),
            axis_to_ray(tensor(middle), tensor(K)).transpose(1, 2),
        )

    def _pose(self, values: dict[str, Tensor], target: _Target) -> _Posed:
        import roma

        count = len(values["orient"])
        eye = torch.eye(3, device=self.device).expand(count, 3, 3)
        mesh = self.layer(eye, roma.rotvec_to_rotmat(values["pose"]), values["betas"])
        root = mesh.joints[:, :1]
        wrist = _wrist(values["wrist"], target)
        rotation = rotation_6d_to_matrix(values["orient"])
        joints = (mesh.joints - root) @ rotation.transpose(1, 2) + wrist[:, None]
        return _Posed(mesh.vertices - root, joints, root[:, 0])

    def _project(self, joints: Tensor, target: _Target) -> Tensor:
        """Pixels (B, 21, 2); weak perspective takes the wrist's depth for every joint."""
        depth = joints[..., 2:]
        if self.settings.projection == "weak":
            depth = depth[:, :1]
        K = target.intrinsics
        focal = torch.stack((K[:, 0, 0], K[:, 1, 1]), -1)[:, None]
        return joints[..., :2] / depth.clamp(min=0.02) * focal + K[:, None, :2, 2]

    def _energy(self, values: dict[str, Tensor], target: _Target) -> tuple[Tensor, Tensor]:
        """E (B,) and the mean landmark distance (B,) in hand sizes."""
        posed = self._pose(values, target)
        weights = self.settings.weights
        off = (self._project(posed.joints, target) - target.points) / target.size[:, None, None]
        energy = (target.weights * off.abs().sum(-1)).sum(1)
        if weights.bone:
            energy = energy + weights.bone * bone_loss(posed.joints, self.limits)
        if weights.angle:
            energy = energy + weights.angle * angle_loss(posed.joints, self.limits)
        if weights.prior:
            energy = energy + weights.prior * self.prior.energy(posed.canonical)
        if weights.shape:
            energy = energy + weights.shape * values["betas"].square().mean(1)
        if weights.hint and target.hinted.any():
            joints = _normalised(posed.joints) @ target.to_ray.transpose(1, 2)
            apart = (joints - target.hint).norm(dim=-1).mean(1)
            energy = energy + weights.hint * target.hinted * apart
        residual = (target.weights * off.detach().norm(dim=-1)).sum(1)
        return energy, residual

    def _run_stage(
        self, stage: Stage, values: dict[str, Tensor], target: _Target
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """New values, the residual some steps before the end, and the energy at the end.

        Adam's steps of different hands do not mix, because each hand's energy depends on its own
        values only.
        """
        values = {
            name: value.detach().clone().requires_grad_(name in stage.moves)
            for name, value in values.items()
        }
        optimiser = torch.optim.Adam([values[name] for name in stage.moves], lr=stage.rate)
        earlier = torch.zeros(len(target.size))
        for step in range(stage.steps):
            share = step / max(stage.steps - 1, 1)
            for group in optimiser.param_groups:
                group["lr"] = stage.rate * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * share)))
            optimiser.zero_grad()
            energy, residual = self._energy(values, target)
            if step == max(stage.steps - _SETTLED_STEPS, 0):
                earlier = residual
            energy.nan_to_num(nan=0.0, posinf=0.0).sum().backward()
            optimiser.step()
        with torch.no_grad():
            energy, _ = self._energy(values, target)
        return {name: value.detach() for name, value in values.items()}, earlier, energy

    def _result(
        self,
        values: dict[str, Tensor],
        target: _Target,
        earlier: Tensor,
        enough: np.ndarray,
        is_right: np.ndarray,
    ) -> FittedHands:
        import roma

        with torch.no_grad():
            posed = self._pose(values, target)
            _, residual = self._energy(values, target)
            violation = angle_loss(posed.joints, self.limits)
            energy = self.prior.energy(posed.canonical)
            rotation = rotation_6d_to_matrix(values["orient"])
            root = posed.root[:, None]
            vertices = posed.canonical @ rotation.transpose(1, 2) + root
            cam_t = _wrist(values["wrist"], target) - posed.root
            joints = posed.joints - cam_t[:, None]
            projected = self._project(posed.joints, target)
            orient = roma.rotmat_to_rotvec(rotation)
        settled = (earlier - residual).abs() < 0.1 * self.settings.max_residual
        status = tuple(
            self._status(*entry)
            for entry in zip(
                enough.tolist(),
                residual.tolist(),
                violation.tolist(),
                settled.tolist(),
                strict=True,
            )
        )
        right = is_right[:, None, None]
        vertices_np, joints_np, t = (v.cpu().numpy() for v in (vertices, joints, cam_t))
        pixels = projected.cpu().numpy()
        centre = target.intrinsics[:, 0, 2].cpu().numpy()[:, None]
        pixels[..., 0] = np.where(is_right[:, None], pixels[..., 0], 2 * centre - pixels[..., 0])
        return FittedHands(
            global_orient=orient.cpu().numpy(),
            hand_pose=values["pose"].flatten(1).cpu().numpy(),
            betas=values["betas"].cpu().numpy(),
            cam_t_right=t,
            vertices=np.where(right, vertices_np, mirror_points(vertices_np)),
            joints=np.where(right, joints_np, mirror_points(joints_np)),
            cam_t=np.where(is_right[:, None], t, mirror_points(t)),
            keypoints_2d=pixels,
            residual=residual.cpu().numpy(),
            angle_violation=violation.cpu().numpy(),
            prior_energy=energy.cpu().numpy(),
            status=status,
        )

    def _status(self, enough: bool, residual: float, violation: float, settled: bool) -> str:
        if not enough:
            return "landmarks"
        if not np.isfinite(residual) or not np.isfinite(violation):
            return "diverged"
        if residual > self.settings.max_residual:
            return "residual"
        if violation > self.settings.max_angle:
            return "angles"
        return ACCEPTED if settled else "unsettled"


def _to_free(wrist: Tensor, target: _Target) -> Tensor:
    """(B, 3) px, px, metres -> hand sizes from the principal point, and log depth."""
    centre = target.intrinsics[:, :2, 2]
    place = (wrist[:, :2] - centre) / target.size[:, None]
    return torch.cat((place, wrist[:, 2:].clamp(min=0.05).log()), dim=1)


def _normalised(joints: Tensor) -> Tensor:
    """(B, 21, 3) about their middle, in units of their root mean square distance from it."""
    joints = joints - joints.mean(1, keepdim=True)
    radius = joints.square().sum(-1).mean(-1).clamp(min=1e-12).sqrt()
    return joints / radius[:, None, None]


def _wrist(free: Tensor, target: _Target) -> Tensor:
    """(B, 3) metres in the camera frame; the inverse of :func:`_to_free`, through K."""
    focal = torch.stack((target.intrinsics[:, 0, 0], target.intrinsics[:, 1, 1]), -1)
    rays = free[:, :2] * target.size[:, None] / focal
    depth = free[:, 2:].exp()
    return torch.cat((rays * depth, depth), dim=1)


def _best(
    values: dict[str, Tensor], owner: Tensor, earlier: Tensor, energy: Tensor, keep: int
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The `keep` starts of least energy of each hand; starts of a hand lie side by side."""
    hands = int(owner.max()) + 1
    each = len(owner) // hands
    if each <= keep:
        return values, owner, earlier
    energy = energy.nan_to_num(nan=float("inf")).reshape(hands, each)
    order = energy.argsort(dim=1)[:, :keep]
    rows = (torch.arange(hands, device=order.device)[:, None] * each + order).flatten()
    return {name: value[rows] for name, value in values.items()}, owner[rows], earlier[rows]
