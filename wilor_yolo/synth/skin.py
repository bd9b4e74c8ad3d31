"""Skin of the free hand: tone, blood, palm, creases, veins, nails, moles; gloves.

All features are placed on the flat hand, so they bend with it. Widths finer than a pixel fade out
instead of flickering.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..errors import WeightsError
from ..skeleton import MANO_PARENTS
from ..weights_dir import shipped
from .extra import require
from .hand_mesh import FineHand
from .light import linear_from_srgb
from .materials import Cloth, sample_picture
from .raycast import interpolate
from .scene import Points
from .shading import Surface
from .solid_noise import noise_at, noise_volume

__all__ = ["HandSkin", "SkinLook", "random_look", "skin_albedo"]

njit = require("numba").njit

NAILS = "synth/nails.png"

# sRGB of evenly lit skin, light to dark, ten steps (after the idea of the Monk scale).
_TONES = np.array(
    [
        (0.90, 0.73, 0.64),
        (0.87, 0.68, 0.58),
        (0.83, 0.63, 0.51),
        (0.78, 0.57, 0.44),
        (0.73, 0.52, 0.39),
        (0.63, 0.43, 0.31),
        (0.52, 0.345, 0.24),
        (0.41, 0.265, 0.18),
        (0.315, 0.20, 0.137),
        (0.24, 0.152, 0.107),
    ]
)
_PALM_LIGHT = linear_from_srgb(np.array([0.80, 0.58, 0.48]))  # what dark skin's palm tends to

# Palm lines on the flat hand, (x, z) metres: heart, head and life line.
_PALM_LINES = (
    ((0.028, -0.038), (0.020, -0.025), (0.015, -0.008), (0.010, 0.008), (0.003, 0.018)),
    ((0.017, 0.040), (0.022, 0.022), (0.031, 0.002), (0.044, -0.022)),
    ((0.015, 0.041), (0.025, 0.023), (0.041, 0.011), (0.062, 0.006), (0.084, 0.010)),
)
_CREASED = (2, 3, 5, 6, 8, 9, 11, 12, 14, 15)  # middle and end joints of the fingers


def skin_albedo(tone: float) -> np.ndarray:
    """Linear RGB albedo (3,) of skin tone 0 (lightest) .. 9 (darkest)."""
    k = min(int(tone), len(_TONES) - 2)
    return linear_from_srgb(_TONES[k] * (1 - tone + k) + _TONES[k + 1] * (tone - k))


@dataclass(frozen=True)
class SkinLook:
    """One person's skin.

    Attributes:
        tone: 0..9.
        albedo: (3,) linear RGB of the back of the hand.
        blotches: strength of the blood's unevenness.
        redness: of knuckles, finger ends and palm.
        creases, veins: strength.
        oil: factor on the sheen.
        nail_colour: (3,) linear RGB of lacquer, or None for bare nails.
        offset: (3,) metres into the noise volumes.
        palm_lines: (S, 4) segments (x0, z0, x1, z1) on the flat hand.
        vein_lines: (S, 4).
        moles: (M, 4) place on the flat hand and radius, metres.
    """

    tone: float
    albedo: np.ndarray
    blotches: float
    redness: float
    creases: float
    veins: float
    oil: float
    nail_colour: np.ndarray | None
    offset: np.ndarray
    palm_lines: np.ndarray
    vein_lines: np.ndarray
    moles: np.ndarray


def random_look(rng: np.random.Generator, tone: float | None = None) -> SkinLook:
    """A random person's skin."""
    if tone is None:
        tone = 9 * rng.beta(1.0, 1.5)
    # More or less blood moves green and blue together; more or less pigment moves all.
    blood, pigment = rng.normal(0, 0.07), rng.normal(0, 0.06)
    albedo = skin_albedo(tone) * np.exp(pigment + blood * np.array([0.2, -1.0, -0.8]))
    lacquer = None
    if rng.random() < 0.15:
        vivid = np.array([rng.uniform(0.3, 0.9), rng.uniform(0, 0.4), rng.uniform(0, 0.4)])
        lacquer = linear_from_srgb(vivid if rng.random() < 0.6 else rng.uniform(0.05, 0.95, 3))
    place = rng.uniform((-0.07, -0.02, -0.05), (0.20, 0.03, 0.06), (int(rng.integers(0, 6)), 3))
    radius = rng.uniform(0.0006, 0.0016, (len(place), 1))
    return SkinLook(
        tone=float(tone),
        albedo=np.clip(albedo, 0.012, 0.85).astype(np.float32),
        blotches=float(rng.uniform(0.4, 1.6)),
        redness=float(rng.uniform(0.4, 1.5)),
        creases=float(rng.uniform(0.5, 1.3)),
        veins=float(rng.uniform(0.2, 1.2) * (rng.random() < 0.6)),
        oil=float(rng.uniform(0.4, 1.5)),
        nail_colour=lacquer,
        offset=rng.uniform(0, 1, 3).astype(np.float32),
        palm_lines=_segments(rng, _PALM_LINES, 0.002),
        vein_lines=_segments(rng, _vein_paths(rng), 0.0015),
        moles=np.concatenate([place, radius], 1).astype(np.float32),
    )


def _segments(rng: np.random.Generator, paths, wobble: float) -> np.ndarray:
    rows = []
    for path in paths:
        points = np.asarray(path) + rng.normal(0, wobble, (len(path), 2))
        # Two more points between each pair make the polyline a curve.
        t = np.linspace(0, len(points) - 1, 3 * len(points) - 2)
        curve = np.stack([np.interp(t, np.arange(len(points)), points[:, k]) for k in (0, 1)], 1)
        curve[1:-1] = (curve[:-2] + 2 * curve[1:-1] + curve[2:]) / 4
        rows.append(np.concatenate([curve[:-1], curve[1:]], 1))
    return np.concatenate(rows).astype(np.float32)


def _vein_paths(rng: np.random.Generator):
    """Wavy paths over the back of the hand from between the knuckles to the wrist and arm."""
    for z in (0.018, -0.003, -0.022):
        x = np.linspace(0.012, 0.17, 6)
        target = rng.uniform(-0.012, 0.018)
        yield np.stack([x, np.linspace(z, target, 6) + rng.normal(0, 0.004, 6)], 1)


@lru_cache(maxsize=1)
def _nail_map() -> np.ndarray:
    path = shipped(NAILS)
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise WeightsError(f"{path} is not a readable picture; reinstall wilor_yolo.")
    return cv2.GaussianBlur(picture.astype(np.float32) / 255, (0, 0), 0.7)


@dataclass(frozen=True)
class _HandMaps:
    """Per vertex of the render mesh: palm side, knuckle, finger end, each 0..1; and crease data."""

    features: np.ndarray
    crease_at: np.ndarray
    crease_along: np.ndarray


@lru_cache(maxsize=4)
def _maps(hand: FineHand) -> _HandMaps:
    rest, normal, joints = hand.fine_template, hand.rest_normals, hand.rest_joints
    palm = np.clip(0.5 - 0.85 * normal[:, 1], 0, 1)
    # Behind the wrist the inner side of the arm is skin like any other, a little lighter.
    palm = palm * np.clip(1 - (rest[:, 0] - 0.085) / 0.03, 0.25, 1)
    distance = np.linalg.norm(rest[:, None] - joints[None], axis=2)
    knuckles = [j for j in range(1, 16) if j != 13]
    knuckle = np.exp(-((distance[:, knuckles].min(1) / 0.0115) ** 2))
    ends = hand.v_template[[744, 320, 443, 554, 671]]
    end = np.exp(-((np.linalg.norm(rest[:, None] - ends[None], axis=2).min(1) / 0.014) ** 2))
    parents = [MANO_PARENTS[j] for j in _CREASED]
    along = joints[list(_CREASED)] - joints[parents]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    at = joints[list(_CREASED)]
    # The creases at the fingers' roots lie between knuckle and middle joint.
    roots = [(1, 2), (4, 5), (7, 8), (10, 11)]
    root_at = np.stack([joints[a] * 0.5 + joints[b] * 0.5 for a, b in roots])
    root_along = np.stack([joints[b] - joints[a] for a, b in roots])
    root_along /= np.linalg.norm(root_along, axis=1, keepdims=True)
    features = np.stack([palm, knuckle, end], 1).astype(np.float32)
    return _HandMaps(
        features,
        np.concatenate([at, root_at]).astype(np.float32),
        np.concatenate([along, root_along]).astype(np.float32),
    )


@njit(cache=True, fastmath=True, inline="always")
def _line_strength(lines, x, z, width):
    """1 on the nearest segment, falling to 0 over `width`."""
    best = 1e9
    for s in range(lines.shape[0]):
        ax, az = lines[s, 0], lines[s, 1]
        dx, dz = lines[s, 2] - ax, lines[s, 3] - az
        t = ((x - ax) * dx + (z - az) * dz) / (dx * dx + dz * dz + 1e-12)
        t = min(1.0, max(0.0, t))
        ex, ez = x - ax - t * dx, z - az - t * dz
        best = min(best, ex * ex + ez * ez)
    return np.exp(-best / (width * width))


@njit(cache=True, fastmath=True)
def _paint(
    rest, features, nail, footprint, crease_at, crease_along, palm_lines, vein_lines, moles,
    cloud, fine, grain, offset, base, palm_colour, dark, blotches, redness, crease_depth, veins,
    albedo, relief,
):  # fmt: skip
    for i in range(rest.shape[0]):
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        palm, knuckle, end = features[i, 0], features[i, 1], features[i, 2]
        foot = footprint[i]
        u, v, w = x + offset[0], y + offset[1], z + offset[2]
        patch = noise_at(cloud, u / 0.0032, v / 0.0032, w / 0.0032)
        small = noise_at(fine, u / 0.0011, v / 0.0008, w / 0.0008)
        seen = min(1.0, max(0.0, 0.0010 / (foot + 1e-6) - 0.3))

        # Creases: dark bands across the fingers, one to four at a joint.
        crease = 0.0
        for j in range(crease_at.shape[0]):
            px, py, pz = x - crease_at[j, 0], y - crease_at[j, 1], z - crease_at[j, 2]
            if px * px + py * py + pz * pz > 0.014 * 0.014:
                continue
            t = px * crease_along[j, 0] + py * crease_along[j, 1] + pz * crease_along[j, 2]
            t += 0.0005 * small
            wide = max(0.0006, 0.45 * foot)
            thin = 0.0006 / wide
            inner = np.exp(-((t / wide) ** 2)) + 0.7 * np.exp(-(((t - 0.0022) / wide) ** 2))
            outer = 0.0
            if j < 10:  # wrinkles on the back of the joint
                for k in range(4):
                    outer += np.exp(-(((t + 0.003 - 0.0021 * k) / wide) ** 2))
            crease = max(crease, thin * (palm * inner + 0.55 * (1 - palm) * outer))
        if palm > 0.3 and x > -0.002 and x < 0.09:
            wide = max(0.0008, 0.45 * foot)
            line = _line_strength(palm_lines, x, z, wide) * (0.0008 / wide)
            crease = max(crease, (palm - 0.3) / 0.7 * line)
        crease = min(1.0, crease) * crease_depth

        vein = 0.0
        if veins > 0 and palm < 0.45 and x > 0.01:
            wide = max(0.0016, 0.5 * foot)
            vein = _line_strength(vein_lines, x, z, wide) * (0.45 - palm) / 0.45 * veins
            vein *= min(1.0, (x - 0.01) / 0.01)

        red = (
            0.55 * end + 0.30 * knuckle * (1 - palm) + 0.28 * palm + 0.06 * blotches * patch
        ) * redness
        red = min(1.0, max(-0.15, red)) * (1 - 0.45 * dark)
        shade = 1 + 0.008 * blotches * patch + 0.015 * seen * small * (1 - palm)
        shade *= 1 - 0.20 * dark * (1 - palm) * knuckle
        shade *= 1 - 0.30 * crease
        for m in range(moles.shape[0]):
            mx, my, mz = x - moles[m, 0], y - moles[m, 1], z - moles[m, 2]
            r2 = (mx * mx + my * my + mz * mz) / (moles[m, 3] * moles[m, 3])
            if r2 < 4:
                shade *= 1 - 0.55 * np.exp(-r2)
        mix = palm * 0.5 * dark
        for k in range(3):
            value = base[k] * (1 - mix) + palm_colour[k] * mix
            if k == 0:
                value *= 1 - 0.03 * red - 0.13 * vein
            elif k == 1:
                value *= (1 - 0.21 * red) * (1 - 0.05 * vein) * (1 - 0.06 * crease)
            else:
                value *= (1 - 0.18 * red) * (1 - 0.02 * vein) * (1 - 0.06 * crease)
            albedo[i, k] = min(0.92, max(0.004, value * shade))
        bump = 0.04 * seen * (1 - nail[i]) * (1 + 0.5 * (1 - palm))
        relief[i, 0] = bump * noise_at(fine, u / 0.0005, v / 0.0005, w / 0.0005)
        relief[i, 1] = bump * noise_at(grain, u / 0.0005, v / 0.0005, w / 0.0005)


@dataclass(frozen=True)
class HandSkin:
    """The material of a hand part.

    Attributes:
        hand: the mesh's arrays.
        look: the person.
        flipped: the part's faces are wound the other way round (a left hand).
        glove: cloth that covers all of it, or None.
    """

    hand: FineHand
    look: SkinLook
    flipped: bool = False
    glove: Cloth | None = None

    @property
    def bounce(self) -> np.ndarray:
        return 1.2 * (self.look.albedo if self.glove is None else self.glove.bounce)

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) as the part must carry them."""
        return np.ascontiguousarray(self.hand.faces[:, ::-1]) if self.flipped else self.hand.faces

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Interpolate to the fine mesh, then let light creep under the skin, red the farthest."""
        weighted = np.concatenate([light * known[:, None], known[:, None]], 1).astype(np.float32)
        full = self.hand.spread @ weighted
        near = self.hand.smooth @ full
        far = self.hand.smooth @ (self.hand.smooth @ (self.hand.smooth @ near))
        # Where nothing was measured the wider average stands in.
        mean = light[known].mean(0) if known.any() else np.ones(4)
        far = np.where(far[:, 4:] > 0.02, far[:, :4] / np.maximum(far[:, 4:], 0.02), mean)
        near = np.where(near[:, 4:] > 0.05, near[:, :4] / np.maximum(near[:, 4:], 0.05), far)
        full = np.where(full[:, 4:] > 0.05, full[:, :4] / np.maximum(full[:, 4:], 0.05), near)
        if self.glove is not None:
            return near
        return np.stack(
            [
                0.75 * far[:, 0] + 0.25 * near[:, 0],
                0.40 * far[:, 1] + 0.60 * near[:, 1],
                0.70 * near[:, 2] + 0.30 * full[:, 2],
                near[:, 3],
            ],
            1,
        )

    def surface(self, points: Points) -> Surface:
        if self.glove is not None:
            return self.glove.surface(points)
        look, hand, n = self.look, self.hand, len(points.face)
        maps = _maps(hand)
        features = interpolate(maps.features, self.faces, points.face, points.u, points.v)
        nail = self._nails(points)
        albedo, relief = np.empty((n, 3), np.float32), np.empty((n, 2), np.float32)
        dark = look.tone / (len(_TONES) - 1)
        _paint(
            points.rest, features, nail, points.footprint.astype(np.float32), maps.crease_at,
            maps.crease_along, look.palm_lines, look.vein_lines, look.moles,
            noise_volume("cloud"), noise_volume("fine"), noise_volume("grain"), look.offset,
            look.albedo, _PALM_LIGHT.astype(np.float32), dark, look.blotches, look.redness,
            look.creases, look.veins, albedo, relief,
        )  # fmt: skip
        if look.nail_colour is None:
            colour = 0.6 * albedo + 0.4 * linear_from_srgb(np.array([0.90, 0.71, 0.67]))
        else:
            colour = np.broadcast_to(look.nail_colour, (n, 3))
        albedo += nail[:, None] * (colour - albedo)
        out = Surface.matt(albedo)
        out.relief = relief
        out.reflectance[:] = 0.028 * look.oil
        out.roughness[:] = 0.58 - 0.08 * look.oil
        out.roughness += nail * (0.24 - out.roughness)
        out.coat[:] = nail * (0.6 if look.nail_colour is None else 1.0)
        out.wrap[:] = (0.28, 0.12, 0.07)
        return out

    def _nails(self, points: Points) -> np.ndarray:
        """(N,) 0..1."""
        corners = self.hand.face_uv[points.face]
        if self.flipped:
            corners = corners[:, ::-1]
        u, v = points.u[:, None], points.v[:, None]
        uv = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]
        picture = _nail_map()
        return sample_picture(
            picture, uv[:, 0] * picture.shape[1] - 0.5, (1 - uv[:, 1]) * picture.shape[0] - 0.5
        )
