"""Show hands: annotators in the manner of supervision, its own objects, and 3D files."""
