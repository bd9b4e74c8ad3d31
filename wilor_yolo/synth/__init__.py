"""The image engine: rendered hands with full ground truth (`pip install "wilor_yolo[synth]"`)."""
