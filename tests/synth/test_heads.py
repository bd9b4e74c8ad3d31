from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.synth.body import BodyShape, load_body, pose_body
from wilor_yolo.synth.heads import head_pieces, paint_skin, sample_head_style

STYLES = ("bald", "short", "medium", "afro", "long", "ponytail", "bun", "hat", "scarf")


@pytest.fixture(scope="module")
def person():
    model = load_body()
    shape = BodyShape(model.vertices, model.heads, gender=0.0, age=0.7, african=0.3)
    return model, shape, pose_body(model, shape, {})


@pytest.mark.parametrize("style", STYLES)
def test_hair_sits_on_the_head_and_leaves_the_face_free(person, style):
    model, shape, body = person
    rng = np.random.default_rng(1)
    pieces = head_pieces(
        model, shape, body, replace(sample_head_style(rng, shape), style=style), rng
    )
    assert len(pieces) == {"bald": 1, "short": 2, "medium": 2, "afro": 2}.get(style, len(pieces))
    assert style in ("bald", "hat") or len(pieces) >= 2
    eyes = body.vertices[model.group_vertices("helper-l-eye")].mean(0)
    for piece in pieces[1:]:
        assert np.isfinite(piece.vertices).all()
        assert piece.vertices[:, 2].max() > 0.85
        assert np.abs(piece.vertices[:, 0]).max() < 0.35
        if style != "hat":
            in_front = piece.vertices[:, 1] < eyes[1] - 0.02
            beside = np.abs(piece.vertices[:, 0] - eyes[0]) < 0.015
            level = np.abs(piece.vertices[:, 2] - eyes[2]) < 0.02
            assert not (in_front & beside & level).any()


def test_eyes_have_dark_pupils_in_front(person):
    model, shape, body = person
    rng = np.random.default_rng(1)
    eyes = head_pieces(model, shape, body, sample_head_style(rng, shape), rng)[0]
    dark = eyes.vertices[eyes.albedo.mean(1) < 0.01]
    white = eyes.vertices[eyes.albedo.mean(1) > 0.5]
    assert len(dark) and dark[:, 1].max() < white[:, 1].mean()


def test_hair_style_changes_with_gender():
    model = load_body()
    rng = np.random.default_rng(0)
    woman = BodyShape(model.vertices, model.heads, gender=1.0, age=0.7, african=0.3)
    man = replace(woman, gender=0.0)
    women = [sample_head_style(rng, woman) for _ in range(150)]
    men = [sample_head_style(rng, man) for _ in range(150)]
    assert not any(style.beard for style in women) and any(style.beard for style in men)
    assert sum(s.style == "long" for s in women) > sum(s.style == "long" for s in men)


def test_skin_paint_has_lips_brows_and_nails(person):
    model, shape, _ = person
    rng = np.random.default_rng(4)
    tone = np.array([0.4, 0.25, 0.18], np.float32)
    style = replace(sample_head_style(rng, shape), brows=0.9, beard=1.0, hair=np.full(3, 0.01))
    colour = paint_skin(model, tone, style, rng)
    assert colour.shape == model.vertices.shape and (colour > 0).all() and (colour < 1).all()
    lips = colour[model.lips > 0.8].mean(0)
    assert lips[1] / lips[0] < tone[1] / tone[0]
    face = (model.weight_of("head") > 0.8) & (model.vertices[:, 1] < -0.1)
    assert (colour[face].mean(1) < 0.12).sum() > 30
