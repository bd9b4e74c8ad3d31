"""Network configurations: the shipped ones, and plain errors for everything else."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import yaml

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.config import NetworkConfig

SHIPPED = sorted(
    path.name.removesuffix(".yaml")
    for path in (resources.files("wilor_yolo.reconstruct") / "cfg" / "networks").iterdir()
)


def test_there_is_a_file_for_every_row_we_can_train():
    rows = {"fastvit", "single-scale", "no-refinement"}  # of Table 5
    sizes = {"vit-tiny", "vit-small", "vit-base", "vit-huge"}
    assert rows | sizes | {"hybrid-s"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_read_and_say_only_what_differs(name):
    config = NetworkConfig.from_yaml(name)
    assert config == NetworkConfig.from_yaml(f"{name}.yaml")
    text = resources.files("wilor_yolo.reconstruct") / "cfg" / "networks" / f"{name}.yaml"
    data = yaml.safe_load(text.read_text())
    for key, value in data.items():
        ours = getattr(config, key)
        assert (list(ours) if isinstance(ours, tuple) else ours) == value


def test_ablation_rows_differ_from_the_default_in_one_thing():
    base = NetworkConfig.from_yaml("hybrid-s").to_dict()

    def changed(name):
        row = NetworkConfig.from_yaml(name).to_dict()
        return {key: row[key] for key in row if row[key] != base[key]}

    assert changed("single-scale") == {"scales": 1}
    assert changed("no-refinement") == {"scales": 0}
    # No transformer: heads do not matter.
    assert changed("fastvit") == {"stem": "fastvit_t8", "depth": 0, "heads": 3}


def test_huge_is_the_released_architecture():
    config = NetworkConfig.from_yaml("vit-huge")
    assert (config.dim, config.depth, config.heads, config.patch_padding) == (1280, 32, 16, 2)
    assert (config.tokens, config.sampling) == ("released", "released")
    assert (config.cam_origin, config.frame, config.scales) == ("model", "camera", 3)
    assert config.visible_width == 192


def test_plain_data_round_trip(tmp_path):
    config = NetworkConfig(dim=64, heads=4, mean_cam=(6.0, 0.1, 0.0), stem_lag=2.5)
    assert NetworkConfig.from_dict(config.to_dict()) == config
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert NetworkConfig.from_yaml(path) == config
    path.write_text("")
    assert NetworkConfig.from_yaml(path) == NetworkConfig()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"depht": 3}, "Did you mean 'depth'"),
        ({"zzzzzz": 3}, "Known: aggregation"),
        ({"tokens": "papper"}, "choose one of paper, released"),
        ({"sampling": "nearest"}, "aligned, released"),
        ({"aggregation": "median"}, "mean, max, sum"),
        ({"frame": "world"}, "ray, camera"),
        ({"dim": 100, "heads": 3}, "multiple of heads"),
        ({"scales": 4}, "scales=4 lies outside 0 to 3"),
        ({"image_size": 250}, "multiple of patch_size"),
        ({"dim": "wide"}, "dim"),
        ({"depth": -1}, "depth"),
        ({"mean_cam": [1, 2]}, "mean_cam"),
        ({"mean_cam": 3}, "mean_cam"),
        ({"visible": 1.5}, "visible"),
        ({"iterations": 0}, "iterations"),
        ({"stem": "hand-landmarks", "tokens": "released"}, "needs tokens=paper"),
        ({"stem": "hand-landmarks", "keypoints": True, "feedback": True}, "keypoints=false"),
        ({"stem": "hand-landmarks", "keypoints": True, "seen_rounds": 1}, "keypoints=false"),
        ([1, 2], "keys and values"),
    ],
)
def test_wrong_data_is_refused_in_one_line(data, said):
    with pytest.raises(HandError, match=said) as caught:
        NetworkConfig.from_dict(data)
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(HandError, match="vit-tiny"):
        NetworkConfig.from_yaml("vit-medium")
    with pytest.raises(HandError, match="missing"):
        NetworkConfig.from_yaml(Path("missing") / "file.yaml")


def test_broken_yaml_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1,")
    with pytest.raises(HandError, match=r"broken\.yaml"):
        NetworkConfig.from_yaml(path)
