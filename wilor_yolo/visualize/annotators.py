"""Annotators in the manner of supervision: ``annotate(scene, hands)`` draws in place.

They return the scene, and take BGR pictures (H, W, 3) uint8 or Pillow images, and `Hands`: none,
detected only, or reconstructed. Colours tell left from right on boxes and meshes, and finger from
finger on skeletons. Lines and letters grow with the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import supervision as sv
from supervision.annotators.base import BaseAnnotator
from supervision.annotators.utils import resolve_color
from supervision.utils.conversion import ensure_cv2_image_for_class_method

from ..errors import HandError
from ..hands import Hands
from ..render.shade import draw_meshes
from ..skeleton import EDGES, FINGER_COLOURS, FINGERS, LEFT, RIGHT, SIDE_COLOURS
from .convert import to_detections, to_keypoints

__all__ = [
    "SIDE_PALETTE",
    "HandAnnotator",
    "HandBoxAnnotator",
    "HandSkeletonAnnotator",
    "MeshAnnotator",
]

SIDE_PALETTE = sv.ColorPalette([sv.Color(*SIDE_COLOURS[side]) for side in (LEFT, RIGHT)])

_WRIST_COLOUR = sv.Color(235, 235, 235)
_OUTLINE_COLOUR = sv.Color(20, 20, 20)
# Points further out than this (px) are not drawn: OpenCV's coordinates are short.
_FARTHEST = 30_000


class MeshAnnotator(BaseAnnotator):
    """Draw the reconstructed meshes, lit, the nearer hand in front.

    Args:
        color: one colour for all hands, or a palette: left, right with `ColorLookup.CLASS`.
        opacity: 0 to 1.
        color_lookup: colour by side (`CLASS`), track (`TRACK`; by side while there is none) or
            order (`INDEX`).
        close_wrist: close the mesh where the forearm would be.
    """

    def __init__(
        self,
        color: sv.Color | sv.ColorPalette = SIDE_PALETTE,
        opacity: float = 0.9,
        color_lookup: sv.ColorLookup = sv.ColorLookup.CLASS,
        close_wrist: bool = True,
    ) -> None:
        if not 0.0 <= opacity <= 1.0:
            raise HandError(f"opacity must lie between 0 and 1, got {opacity}.")
        self.color = color
        self.opacity = opacity
        self.color_lookup = color_lookup
        self.close_wrist = close_wrist

    @ensure_cv2_image_for_class_method
    def annotate(self, scene: Any, hands: Hands) -> Any:  # type: ignore[override]
        """Draw the meshes of the hands into the picture.

        Raises:
            HandError: the hands are not reconstructed, or belong to a picture of another size.
        """
        _check(scene, hands)
        if not len(hands):
            return scene
        if not hands.reconstructed or hands.K is None:
            raise HandError(
                "these hands have no mesh; run them through HandReconstructor first, "
                "or draw them with HandBoxAnnotator and HandSkeletonAnnotator."
            )
        described, lookup = to_detections(hands), _lookup(self.color_lookup, hands)
        colours = [resolve_color(self.color, described, i, lookup) for i in range(len(hands))]
        draw_meshes(
            scene,
            [hands.camera_vertices(i) for i in range(len(hands))],
            [hands.faces_of(i) for i in range(len(hands))],
            hands.K,
            [(c.r, c.g, c.b) for c in colours],
            alpha=self.opacity,
            close_holes=self.close_wrist,
        )
        return scene


class HandBoxAnnotator(BaseAnnotator):
    """Draw boxes with a label: the track, the side and the score.

    Args:
        color: one colour for all hands, or a palette: left, right with `ColorLookup.CLASS`.
        thickness: of the lines, px; None: grows with the picture.
        labels: write the label.
        text_scale: None: grows with the picture.
        color_lookup: colour by side (`CLASS`), track (`TRACK`; by side while there is none) or
            order (`INDEX`).
    """

    def __init__(
        self,
        color: sv.Color | sv.ColorPalette = SIDE_PALETTE,
        thickness: int | None = None,
        labels: bool = True,
        text_scale: float | None = None,
        color_lookup: sv.ColorLookup = sv.ColorLookup.CLASS,
    ) -> None:
        self.color = color
        self.thickness = thickness
        self.labels = labels
        self.text_scale = text_scale
        self.color_lookup = color_lookup

    @ensure_cv2_image_for_class_method
    def annotate(self, scene: Any, hands: Hands) -> Any:  # type: ignore[override]
        """Draw the boxes of the hands into the picture."""
        _check(scene, hands)
        if not len(hands):
            return scene
        described = to_detections(hands)
        described.xyxy = np.rint(np.clip(described.xyxy, -_FARTHEST, _FARTHEST))
        thickness = self.thickness or _line_thickness(scene, 360)
        text_scale = self.text_scale or _text_scale(scene)
        lookup = _lookup(self.color_lookup, hands)
        boxes = sv.BoxAnnotator(self.color, thickness, lookup)
        texts = sv.LabelAnnotator(
            self.color,
            lookup,
            text_color=sv.Color.BLACK,
            text_scale=text_scale,
            text_thickness=max(1, round(text_scale * 1.6)),
            text_padding=max(2, round(text_scale * 8)),
            smart_position=True,  # keeps labels in the picture and off each other
        )

        def draw(canvas: np.ndarray) -> None:
            boxes.annotate(canvas, described)
            if self.labels:
                texts.annotate(canvas, described, labels=_labels(hands))

        _draw_in(scene, draw)
        return scene


class HandSkeletonAnnotator(BaseAnnotator):
    """Draw the 21 joints and their bones, one colour for each finger.

    Args:
        source: which keypoints, see :func:`wilor_yolo.visualize.convert.to_keypoints`.
        min_confidence: leave out the detector's keypoints below this confidence.
        thickness: of the bones, px; None: grows with the picture, and is thinner on small hands.
        outline: a dark line around the bones, which keeps them legible on a mesh.
    """

    def __init__(
        self,
        source: str = "auto",
        min_confidence: float = 0.3,
        thickness: int | None = None,
        outline: bool = True,
    ) -> None:
        self.source = source
        self.min_confidence = min_confidence
        self.thickness = thickness
        self.outline = outline

    @ensure_cv2_image_for_class_method
    def annotate(self, scene: Any, hands: Hands) -> Any:  # type: ignore[override]
        """Draw the skeletons of the hands into the picture.

        Raises:
            HandError: the hands have no keypoints, or belong to a picture of another size.
        """
        _check(scene, hands)
        if not len(hands):
            return scene
        points = to_keypoints(hands, self.source)
        near = np.isfinite(points.xy) & (np.abs(points.xy) < _FARTHEST)
        visible: np.ndarray = np.asarray(near.all(axis=-1))
        if points.visible is not None:
            visible = visible & points.visible
        if points.keypoint_confidence is not None:
            visible = visible & (points.keypoint_confidence >= self.min_confidence)
        points.visible = visible
        points.xy = np.rint(points.xy)  # supervision cuts the decimals off
        thickness = self._thickness_of(points.xy, visible, scene)

        def draw(canvas: np.ndarray) -> None:
            for i in _far_to_near(hands):
                _draw_skeleton(
                    canvas, cast(sv.KeyPoints, points[[i]]), int(thickness[i]), self.outline
                )

        _draw_in(scene, draw)
        return scene

    def _thickness_of(self, xy: np.ndarray, visible: np.ndarray, scene: np.ndarray) -> np.ndarray:
        if self.thickness is not None:
            return np.full(len(xy), self.thickness)
        known = np.where(visible[..., None], xy, np.nan)
        with np.errstate(invalid="ignore"):
            lowest = np.fmin.reduce(known, axis=1)
            highest = np.fmax.reduce(known, axis=1)
        side = np.nan_to_num(np.max(highest - lowest, axis=-1))
        # A finger is about a tenth of a hand wide; a bone should leave most of it to be seen.
        return np.clip(np.rint(side / 60), 1, _line_thickness(scene, 240)).astype(int)


class HandAnnotator(BaseAnnotator):
    """Everything in one picture: meshes, then skeletons, then boxes with labels.

    Hands that are not reconstructed get skeleton and box; hands without keypoints get a box.

    Args:
        mesh: draw meshes.
        skeleton: draw skeletons.
        boxes: draw boxes with labels.
        opacity: of the meshes, 0 to 1.
        color: of meshes and boxes: one colour, or a palette: left, right with `ColorLookup.CLASS`.
        color_lookup: colour by side (`CLASS`), track (`TRACK`; by side while there is none) or
            order (`INDEX`).
    """

    def __init__(
        self,
        mesh: bool = True,
        skeleton: bool = True,
        boxes: bool = True,
        opacity: float = 0.9,
        color: sv.Color | sv.ColorPalette = SIDE_PALETTE,
        color_lookup: sv.ColorLookup = sv.ColorLookup.CLASS,
    ) -> None:
        self._mesh = MeshAnnotator(color, opacity, color_lookup) if mesh else None
        self._skeleton = HandSkeletonAnnotator() if skeleton else None
        self._boxes = HandBoxAnnotator(color, color_lookup=color_lookup) if boxes else None

    @ensure_cv2_image_for_class_method
    def annotate(self, scene: Any, hands: Hands) -> Any:  # type: ignore[override]
        """Draw what there is to draw of the hands into the picture."""
        _check(scene, hands)
        if self._mesh and hands.reconstructed:
            self._mesh.annotate(scene, hands)
        has_keypoints = hands.keypoints_2d is not None or hands.keypoints_2d_detector is not None
        if self._skeleton and has_keypoints:
            self._skeleton.annotate(scene, hands)
        if self._boxes:
            self._boxes.annotate(scene, hands)
        return scene


def _draw_skeleton(scene: np.ndarray, points: sv.KeyPoints, thickness: int, outline: bool) -> None:
    radius = thickness + 1 if thickness > 1 else 1
    every_edge = [(a + 1, b + 1) for a, b in EDGES]  # supervision counts joints from 1
    if outline and thickness > 1:  # on small hands it would hide the rest
        border = thickness + 2 * max(1, round(thickness / 3))
        sv.EdgeAnnotator(_OUTLINE_COLOUR, border, every_edge).annotate(scene, points)
        dots = sv.VertexAnnotator(_OUTLINE_COLOUR, radius + max(1, round(thickness / 3)))
        dots.annotate(scene, points)
    bones = len(EDGES) // len(FINGERS)
    for i, finger in enumerate(FINGERS):
        colour = sv.Color(*FINGER_COLOURS[finger])
        edges = every_edge[bones * i : bones * (i + 1)]
        sv.EdgeAnnotator(colour, thickness, edges).annotate(scene, points)
        joints = cast(sv.KeyPoints, points[:, [b - 1 for _, b in edges]])
        sv.VertexAnnotator(colour, radius).annotate(scene, joints)
    wrist = cast(sv.KeyPoints, points[:, [0]])
    sv.VertexAnnotator(_WRIST_COLOUR, radius).annotate(scene, wrist)


def _far_to_near(hands: Hands) -> Iterable[int]:
    """Row numbers of the hands, the farthest first where that is known."""
    return np.argsort(-hands.distance, kind="stable") if hands.reconstructed else range(len(hands))


def _lookup(wanted: sv.ColorLookup, hands: Hands) -> sv.ColorLookup:
    """A tracker leaves hands without a number that it is not sure of yet, in the midst of a video;
    supervision refuses to draw them by track."""
    untracked = wanted is sv.ColorLookup.TRACK and hands.track_id is None
    return sv.ColorLookup.CLASS if untracked else wanted


def _labels(hands: Hands) -> list[str]:
    tracks = [None] * len(hands) if hands.track_id is None else hands.track_id
    return [
        ("" if track is None else f"#{int(track)} ") + f"{side} {score:.2f}"
        for track, side, score in zip(tracks, hands.side, hands.confidence, strict=True)
    ]


def _line_thickness(scene: np.ndarray, share: int) -> int:
    return max(1, round(min(scene.shape[:2]) / share))


def _text_scale(scene: np.ndarray) -> float:
    return max(0.4, min(scene.shape[:2]) / 1100)


def _check(scene: np.ndarray, hands: Hands) -> None:
    if scene.ndim != 3 or scene.shape[2] != 3 or scene.dtype != np.uint8:
        raise HandError(
            f"expected a BGR picture (H, W, 3) of uint8, got {scene.shape} of {scene.dtype}; "
            "convert grey pictures with cv2.cvtColor(.., cv2.COLOR_GRAY2BGR)."
        )
    if not scene.flags.writeable:
        raise HandError("the picture cannot be drawn into; give picture.copy().")
    if not isinstance(hands, Hands):
        raise HandError(
            f"expected Hands, got {type(hands).__name__}; HandReconstructor.reconstruct and "
            "HandPipeline return them."
        )
    height, width = scene.shape[:2]
    if len(hands) and (width, height) != tuple(hands.image_size):
        found = "x".join(str(int(n)) for n in hands.image_size)
        raise HandError(
            f"the picture is {width}x{height} px, the hands were found in one of {found} px; "
            "draw on that picture and resize afterwards."
        )


def _draw_in(scene: np.ndarray, draw: Callable[[np.ndarray], None]) -> None:
    """Draw with OpenCV into any writable view: flipped and strided ones go through a copy."""
    if scene.flags.c_contiguous:
        draw(scene)
    else:
        canvas = np.ascontiguousarray(scene)
        draw(canvas)
        scene[...] = canvas
