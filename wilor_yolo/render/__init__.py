"""A rasteriser in numpy: meshes to pixels, right in depth, without a GPU or a display."""
