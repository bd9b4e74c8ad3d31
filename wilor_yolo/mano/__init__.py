"""MANO-format hand models: files and the layer that poses them."""
