from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.body import load_body, pose_body, sample_shape
from wilor_yolo.synth.body_regions import body_regions
from wilor_yolo.synth.clothes import dress, sample_outfit
from wilor_yolo.synth.gloves import sample_glove
from wilor_yolo.synth.people_scene import sample_scene
from wilor_yolo.synth.pieces import NO_HAND

GREEN, RED = np.array([0.0, 1.0, 0.0], np.float32), np.array([1.0, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def person():
    model = load_body()
    shape = sample_shape(model, np.random.default_rng(0))
    return model, shape, pose_body(model, shape, {})


def _dressed(person, glove):
    model, shape, body = person
    rng = np.random.default_rng(0)
    outfit = replace(sample_outfit(rng, shape), skirt=False, sleeve=0.2, glove=glove)
    skin = np.full((len(shape.vertices), 3), 0.4, np.float32)
    return dress(model, shape, body, outfit, skin, rng)


def _glove(**changes):
    return replace(sample_glove(np.random.default_rng(1)), rim=0.85, cuff=0.98, **changes)


def test_the_glove_is_the_hand_and_the_cuff_is_not(person):
    bare = _dressed(person, None)[0]
    skin, hand, cuff = _dressed(person, _glove())[:3]
    for side in (LEFT, RIGHT):
        assert (hand.hand == side).sum() > 0.9 * (bare.hand == side).sum()
    assert (cuff.hand == NO_HAND).mean() > 0.8
    # Under the glove is no skin, but for the rim.
    assert len(skin.faces) < len(bare.faces) - 0.9 * (bare.hand != NO_HAND).sum()


def test_gloves_lie_outside_the_skin(person):
    body = person[2]
    hand = _dressed(person, _glove(thickness=0.004))[1]
    arm = body_regions().arm
    gap = np.linalg.norm(hand.vertices[:, None] - body.vertices[arm > 0.9][None], axis=2).min(1)
    assert 0.001 < np.median(gap) < 0.0055


def test_a_dipped_palm_has_the_palms_colour_and_the_back_its_own(person):
    hand = _dressed(person, _glove(back=RED, palm=GREEN, dipped=0.0))[1]
    is_palm = (hand.albedo == GREEN).all(1)
    assert (is_palm | (hand.albedo == RED).all(1)).all()
    assert 0.25 < is_palm.mean() < 0.75
    # At rest the palms look down and to the front, the backs up.
    own = hand.rest[:, 0] > 0
    assert hand.rest[is_palm & own, 2].mean() < hand.rest[~is_palm & own, 2].mean()
    one_colour = _dressed(person, _glove(back=RED, palm=RED))[1]
    assert (one_colour.albedo == RED).all()


def test_every_scene_of_gloves_has_them():
    for seed in range(4):
        scene = sample_scene(np.random.default_rng(seed), 160, 160, ["gloves"])
        # The skin that is left holds next to nothing of the hands.
        most = max((piece.hand >= 0).sum() for piece in scene.pieces if piece.hand is not None)
        first = next(piece for piece in scene.pieces if piece.hand is not None)
        assert (first.hand >= 0).sum() < 0.2 * most
