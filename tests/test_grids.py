from __future__ import annotations

import csv
from pathlib import Path

import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.grids import (
    claim_folder,
    markdown_table,
    read_grid,
    write_csv,
)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "grids"
    folder.mkdir()
    (folder / "one.yaml").write_text("rows: {full: , half: {title: a half}}", encoding="utf-8")
    (folder / "two.yaml").write_text("rows: {}", encoding="utf-8")
    return folder


def test_a_grid_by_name_and_by_file(shipped: Path) -> None:
    expected = {"full": {}, "half": {"title": "a half"}}
    assert read_grid("one", shipped, ["title"]) == expected
    assert read_grid(str(shipped / "one.yaml"), Path("nowhere"), ["title"]) == expected


@pytest.mark.parametrize("text", ["", "rows: [a, b]", "rows: {a: 3}", "a: {}"])
def test_other_layouts(text: str, shipped: Path) -> None:
    (shipped / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HandError, match="bad is no grid; it should hold rows"):
        read_grid("bad", shipped, ["title"])


def test_unknown_grids_and_keys(shipped: Path) -> None:
    with pytest.raises(HandError, match="one, two"):
        read_grid("three", shipped, ["title"])
    with pytest.raises(HandError, match="row half has unknown keys title; known: data"):
        read_grid("one", shipped, ["data"])


def test_a_folder_belongs_to_one_plan(tmp_path: Path) -> None:
    claim_folder(tmp_path / "a", "full", "123")
    claim_folder(tmp_path / "a", "full", "123")
    with pytest.raises(HandError, match=r"other settings \(123, now 124\)"):
        claim_folder(tmp_path / "a", "full", "124")


def test_tables(tmp_path: Path) -> None:
    assert markdown_table(["row", "AP"], [["full", "1.5"], ["x", ""]]).splitlines() == [
        "| row  | AP   |",
        "| ---  | ---: |",
        "| full | 1.5  |",
        "| x    |      |",
    ]
    write_csv(tmp_path / "a.csv", ["a", "b"], [{"a": 1}, {"b": "x,y"}])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as handle:
        assert list(csv.reader(handle)) == [["a", "b"], ["1", ""], ["", "x,y"]]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
