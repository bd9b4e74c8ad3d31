from __future__ import annotations

from pathlib import Path

import pytest

from wilor_yolo.errors import HandError, one_line
from wilor_yolo.reconstruct.config import NetworkConfig
from wilor_yolo.reconstruct.mixes import load_mix
from wilor_yolo.reconstruct.train_config import TrainConfig
from wilor_yolo.yaml_files import find_yaml, read_yaml, shipped_names


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "one.yaml").write_text("a: 1\n", encoding="utf-8")
    (folder / "two.yaml").write_text("", encoding="utf-8")
    (folder / "notes.txt").write_text("", encoding="utf-8")
    return folder


def test_by_name_with_or_without_its_ending_or_by_path(shipped: Path) -> None:
    assert shipped_names(shipped) == ["one", "two"]
    one = shipped / "one.yaml"
    assert find_yaml("one", shipped, "grid") == one == find_yaml("one.yaml", shipped, "grid")
    assert find_yaml(one, Path("nowhere"), "grid") == one
    assert read_yaml(one) == {"a": 1} and read_yaml(shipped / "two.yaml") == {}


@pytest.mark.parametrize("name", ["three", "nowhere/one.yaml", "nowhere/one", "one.yml", "", "."])
def test_a_path_that_is_not_there_is_no_shipped_file_of_that_name(name: str, shipped: Path) -> None:
    with pytest.raises(HandError, match=r"no grid .*; give a yaml file or one of one, two"):
        find_yaml(name, shipped, "grid")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "is no yaml file: while parsing .* line 1"),
        (b"d: 2024-13-45", "is no yaml file: month must be in 1..12"),
        (b"- 1", r"must hold keys and values, not \[1\]"),
        (b"a: \xff", "is no text in UTF-8"),
    ],
)
def test_what_is_no_mapping_is_said_in_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    for read in (
        read_yaml,
        NetworkConfig.from_yaml,
        TrainConfig.from_yaml,
        lambda p: load_mix(str(p)),
    ):
        with pytest.raises(HandError, match=said) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_training_config_in_a_folder_that_is_not_there() -> None:
    with pytest.raises(HandError, match=r"no training config 'nowhere/typo/default\.yaml'"):
        TrainConfig.from_yaml("nowhere/typo/default.yaml")


def test_one_line_says_the_type_of_an_error_without_words() -> None:
    assert one_line(EOFError()) == "EOFError"
    assert one_line(ValueError(" a\n  b ")) == "a b"
    assert one_line(ValueError("x" * 300)) == "x" * 197 + "..."
