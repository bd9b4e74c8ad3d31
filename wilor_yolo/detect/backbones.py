"""CNN backbones outside Ultralytics, for the backbone ablation of the paper (Table 2).

A model YAML names them in a row such as ``[-1, 1, TimmBackbone, [hrnet_w32, [2, 3, 4]]]``; stock
`Index` rows pick the feature maps. A checkpoint with such a row needs this package to open.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["TimmBackbone"]


class TimmBackbone(nn.Module):
    """The feature maps of a timm model.

    Args:
        name: timm model, for example "hrnet_w32".
        levels: which of its feature maps; 2, 3, 4 have strides 8, 16, 32 in most models.
        pretrained: fetch timm's weights from the network when the model is built. Fine-tuning
            builds the model again, so leave it off in YAMLs that start from a checkpoint.
    """

    def __init__(self, name: str, levels: list[int], pretrained: bool = False) -> None:
        super().__init__()
        import timm

        self.features = timm.create_model(
            name, features_only=True, out_indices=levels, pretrained=pretrained
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Feature maps of pictures (B, 3, H, W), one tensor a level."""
        return self.features(image)
