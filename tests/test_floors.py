"""Imports go down only: walks the syntax tree of every module, late imports included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "wilor_yolo"

FLOORS = {
    0: {"skeleton", "geometry", "hands", "crops", "errors", "images", "conventions", "joint_angles"}
    | {"released_crops", "unpickle", "freed_memory", "devices", "whole_files", "evenly"}
    | {"text_files", "yaml_files", "kept_settings"},
    1: {"mano", "samples", "shards", "records", "metrics", "render"}
    | {"weights_dir", "dataset_files", "grids"},
    2: {"detect", "reconstruct"},
    3: {"pipeline", "sources", "spread"},
    4: {"visualize", "evaluate", "data", "synth", "annotate"},
    5: {"cli", "__main__"},
}
WINGS = (2, 4)  # floors whose units never import each other
EXCEPTIONS = {("hands", "visualize.convert")}  # Hands.to_detections() and .to_keypoints()


def _modules(root: Path) -> dict[str, Path]:
    """Dotted name below the package -> file; packages by their folder's name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def _imports(name: str, path: Path, modules: dict[str, Path], package: str) -> set[str]:
    """Modules of the package that a file imports anywhere in it, as names below the package."""
    base = name.split(".") if name else []
    if path.name != "__init__.py":
        base = base[:-1]
    targets = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    targets.add(".".join(alias.name.split(".")[1:]))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                parts = base[: len(base) - (node.level - 1)]
            elif node.module and node.module.split(".")[0] == package:
                parts = []
            else:
                continue
            named = node.module.split(".") if node.module else []
            parts = parts + (named if node.level else named[1:])
            for alias in node.names:
                full = ".".join([*parts, alias.name])
                targets.add(full if full in modules else ".".join(parts))
    return targets - {name, ""}


def graph(root: Path) -> dict[str, set[str]]:
    modules = _modules(root)
    return {
        name: _imports(name, path, modules, root.name)
        for name, path in modules.items()
        if name  # the package's own __init__ names everything, lazily
    }


def floor_of(name: str) -> int:
    unit = name.split(".")[0]
    for floor, units in FLOORS.items():
        if unit in units:
            return floor
    raise AssertionError(f"{name} stands on no floor; add it to FLOORS here and to the design")


def climbs(edges: dict[str, set[str]]) -> list[str]:
    found = []
    for name, targets in edges.items():
        for target in targets:
            own, other = name.split(".")[0], target.split(".")[0]
            if own == other or (name, target) in EXCEPTIONS:
                continue
            here, there = floor_of(name), floor_of(target)
            if there > here or (there == here and here in WINGS):
                found.append(f"{name} (floor {here}) imports {target} (floor {there})")
    return sorted(found)


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of imports, or an empty list."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in sorted(edges.get(name, ())):
            if (name, target) not in EXCEPTIONS and (ring := visit(target, [*trail, name])):
                return ring
        done.add(name)
        return []

    for name in sorted(edges):
        if ring := visit(name, []):
            return ring
    return []


def test_every_module_stands_on_a_floor() -> None:
    names = list(graph(PACKAGE))
    assert "hands" in names and "cli.main" in names
    for name in names:
        floor_of(name)


def test_no_import_climbs() -> None:
    assert climbs(graph(PACKAGE)) == []


def test_no_circle() -> None:
    assert circle(graph(PACKAGE)) == []


def test_reconstruct_never_imports_ultralytics() -> None:
    for path in (PACKAGE / "reconstruct").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {(node.module or "").split(".")[0]}
            else:
                continue
            assert "ultralytics" not in roots, f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("crops.py", "def f():\n    from .pipeline import x\n", "crops (floor 0) imports pipeline"),
        ("detect/model.py", "from ..reconstruct.a import b\n", "detect.model (floor 2) imports"),
        ("data/x.py", "import wilor_yolo.synth.y\n", "data.x (floor 4) imports synth.y"),
        ("metrics/m.py", "from .. import pipeline\n", "metrics.m (floor 1) imports pipeline"),
    ],
)
def test_a_climb_is_found(tmp_path: Path, file: str, text: str, message: str) -> None:
    root = tmp_path / "wilor_yolo"
    for name in ("__init__.py", "pipeline.py", file):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("", encoding="utf-8")
    (root / file).write_text(text, encoding="utf-8")
    found = climbs(graph(root))
    assert len(found) == 1 and found[0].startswith(message)


def test_a_circle_is_found(tmp_path: Path) -> None:
    root = tmp_path / "wilor_yolo"
    root.mkdir()
    (root / "geometry.py").write_text("from .crops import a\n", encoding="utf-8")
    (root / "crops.py").write_text("def f():\n    from . import geometry\n", encoding="utf-8")
    assert circle(graph(root)) == ["crops", "geometry", "crops"]
