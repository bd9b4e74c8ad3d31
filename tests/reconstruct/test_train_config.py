from __future__ import annotations

from importlib import resources

import pytest
import yaml

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.mixing import DataGroup
from wilor_yolo.reconstruct.train_config import TrainConfig

SHIPPED = [
    p.name.removesuffix(".yaml")
    for p in (resources.files("wilor_yolo.reconstruct") / "cfg" / "training").iterdir()
]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_load_and_round_trip(name, tmp_path):
    config = TrainConfig.from_yaml(name, data="x", **{"augment.scale": 0.5}, init="w.pt")
    assert config.augment.scale == 0.5
    # An override keeps its siblings.
    assert config.augment.rotation_deg == {"default": 90.0, "paper": 30.0}[name]
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert TrainConfig.from_yaml(path) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batchsize": 3}, "Did you mean 'batch_size'"),
        ({"losses.vertice": 3}, "Did you mean 'vertices'"),
        ({"augment": {"rotaton_deg": 3}}, "Did you mean 'rotation_deg'"),
        ({"data": [{"path": "a", "wieght": 1}]}, "Did you mean 'weight'"),
        ({"precision": "fp8"}, "32-true"),
        ({"steps": "many"}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"resume": "no way"}, "true or false"),
        ({"frozen": ["trunk"]}, "init="),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"losses": 3}, "keys and values"),
        ({"losses.side": None}, "losses.side=None must be a number"),
        ({"losses.side": True}, "must be a number"),
        ({"losses.maps": -1}, "outside 0 to"),
        ({"augment.scale": "big"}, "augment.scale='big' must be a number"),
        ({"augment.erase_max": 0.05}, "outside 0.08 to 0.95"),
        ({"augment.blur_probability": 1.5}, "outside 0 to 1"),
        ({"minutes": 0}, "minutes"),
        ({"steps": float("inf")}, "steps=inf must be a whole number"),
        ({"steps": 0}, "outside 1 to"),
        ({"workers": -1}, "workers"),
        ({"lr": float("nan")}, "lr=nan must be a number"),
        ({"devices": 0}, "devices"),
        ({"network": ["vit-tiny"]}, "must be text"),
        ({"frozen": 3, "init": "w.pt"}, "list of names"),
        ({"data": [{"weight": 1}]}, "give path="),
        ({"data": [{"path": "a", "weight": "much"}]}, "data.weight='much' must be a number"),
        ({3: 4}, "unknown training key 3"),
    ],
)
def test_bad_keys_and_values_are_refused(values, words):
    with pytest.raises(HandError, match=words) as caught:
        TrainConfig.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1,", "no yaml file"),
        (b"\x80\x02\xff", "no text in UTF-8"),
        (b"- 1\n- 2\n", "keys and values"),
        (b"losses: 3\n", "losses must hold keys and values"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, content, words):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(HandError, match=words) as caught:
        TrainConfig.from_yaml(path)
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_shipped_ones():
    with pytest.raises(HandError, match="default"):
        TrainConfig.from_yaml("nonsense")


def test_values_as_a_command_line_gives_them():
    config = TrainConfig.from_dict(
        {"lr": "5e-4", "steps": 1e3, "data": ["a", {"path": "b", "weight": 0.3}], "val": "c"}
    )
    assert config.lr == 5e-4 and config.steps == 1000 and isinstance(config.steps, int)
    assert TrainConfig.from_dict({"losses.betas": "5e-5"}).losses.betas == 5e-5
    assert config.data == (DataGroup("a"), DataGroup("b", 0.3)) and config.val == (DataGroup("c"),)


def test_hash_follows_what_matters():
    base = TrainConfig(data=(DataGroup("a"),))
    same = TrainConfig(data=(DataGroup("a"),), out="elsewhere", workers=3)
    other = TrainConfig(data=(DataGroup("a"),), lr=1e-4)
    assert base.hash() == same.hash() != other.hash()


def test_learning_rate_warms_up_and_falls():
    config = TrainConfig(warmup_steps=10, final_lr=0.1)
    assert config.lr_factor(0, 0.0) == pytest.approx(0.1)
    assert config.lr_factor(10, 0.0) == pytest.approx(1.0)
    assert config.lr_factor(100, 0.5) == pytest.approx(0.55)
    assert config.lr_factor(100, 1.0) == config.lr_factor(100, 1.2) == pytest.approx(0.1)
