from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.body import BodyShape, load_body, pose_body, sample_shape
from wilor_yolo.synth.body_regions import body_regions
from wilor_yolo.synth.clothes import dress, sample_outfit, skin_tone
from wilor_yolo.synth.pieces import NO_HAND


@pytest.fixture(scope="module")
def person():
    model = load_body()
    shape = BodyShape(model.vertices, model.heads, gender=0.0, age=0.7, african=0.3)
    return model, shape, pose_body(model, shape, {})


def test_regions_name_hands_feet_and_heads():
    model, regions = load_body(), body_regions()
    tips = model.tip_vertices
    assert (regions.hand[tips[LEFT]] == LEFT).all() and (regions.hand[tips[RIGHT]] == RIGHT).all()
    assert (regions.arm[tips] > 1.05).all()
    assert regions.is_head[model.group_vertices("helper-l-eye")].all()
    assert not regions.is_head[tips].any()
    # A hand begins at the wrist: its vertices are nearer to the knuckles than to the elbow.
    own = np.flatnonzero(regions.hand == LEFT)
    wrist, elbow = (model.heads[model.bone(n)] for n in ("wrist.L", "lowerarm01.L"))
    along = (model.vertices[own] - wrist) @ (elbow - wrist) / np.linalg.norm(elbow - wrist)
    assert along.max() < 0.03


def _dressed(person, rng_seed=0, hidden=(), has_head=True, **changes):
    model, shape, body = person
    rng = np.random.default_rng(rng_seed)
    outfit = replace(sample_outfit(rng, shape), skirt=False, **changes)
    skin = np.full((len(shape.vertices), 3), 0.4, np.float32)
    return dress(model, shape, body, outfit, skin, rng, hidden, has_head)


def test_long_sleeves_cover_arms_and_leave_hands(person):
    skin, top, _ = _dressed(person, sleeve=1.0, waist=0.1)
    bare = _dressed(person, sleeve=0.2, waist=0.1)[0]
    assert len(skin.faces) < len(bare.faces)
    hands = [(piece.hand == LEFT).sum() for piece in (skin, bare)]
    assert hands[0] == hands[1] > 500
    assert np.abs(top.vertices[:, 0]).max() > 0.4


def test_hidden_hands_and_heads_are_left_out(person):
    skin = _dressed(person, hidden=(RIGHT,))[0]
    assert not (skin.hand == RIGHT).any() and (skin.hand == LEFT).any()
    headless = _dressed(person, has_head=False)
    assert max(piece.vertices[:, 2].max() for piece in headless) < 0.8


def test_clothes_are_no_hands_and_lie_outside_the_skin(person):
    for piece in _dressed(person, sleeve=1.0)[1:]:
        assert (piece.hand == NO_HAND).all()
        assert piece.faces.max() < len(piece.vertices) == len(piece.albedo) == len(piece.rest)


def test_only_grown_men_go_without_a_shirt():
    model = load_body()
    rng = np.random.default_rng(0)
    bare = []
    for _ in range(400):
        shape = sample_shape(model, rng)
        if sample_outfit(rng, shape).sleeve < -0.5:
            bare.append(shape)
    assert bare and all(shape.gender < 0.5 and not shape.is_child for shape in bare)


def test_skin_runs_from_light_to_dark():
    rng = np.random.default_rng(0)
    tones = np.array([skin_tone(rng, rng.random()) for _ in range(200)])
    grey = tones.mean(1)
    assert grey.min() < 0.08 and grey.max() > 0.4
    assert (tones[:, 0] > tones[:, 2]).all()
