from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from wilor_yolo.detect.restricted import read_restricted
from wilor_yolo.errors import WeightsError


def test_plain_content(tmp_path) -> None:
    torch.save({"a": torch.ones(2), "b": OrderedDict(c=1)}, tmp_path / "plain.pt")
    assert read_restricted(tmp_path / "plain.pt")["b"]["c"] == 1


def test_functions_of_allowed_packages_are_refused(tmp_path) -> None:
    """Layers of timm may be named, its functions may not."""
    from timm.models import create_model

    torch.save({"call": create_model}, tmp_path / "function.pt")
    with pytest.raises(WeightsError, match="was refused"):
        read_restricted(tmp_path / "function.pt")


def test_old_torch_is_refused_rather_than_trusted(tmp_path, monkeypatch) -> None:
    torch.save({}, tmp_path / "plain.pt")
    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(WeightsError, match=r"update torch to 2\.6"):
        read_restricted(tmp_path / "plain.pt")


def test_missing(tmp_path) -> None:
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        read_restricted(tmp_path / "none.pt")
