from __future__ import annotations

from importlib.metadata import metadata

import pytest

from wilor_yolo.cli.extras import EXTRAS, install_name


def test_every_extra_is_one_of_the_package() -> None:
    offered = metadata("wilor-yolo").get_all("Provides-Extra") or []
    assert set(EXTRAS) == set(offered) - {"dev", "all"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("onnxruntime", '"wilor-yolo[export]"'),
        ("scipy", '"wilor-yolo[synth]"'),
        ("yaml", "PyYAML"),
        ("numpy", "numpy"),
    ],
)
def test_what_to_install_for_a_missing_module(module: str, name: str) -> None:
    assert install_name(module) == name
