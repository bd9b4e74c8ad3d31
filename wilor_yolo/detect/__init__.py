"""The hand detector: boxes, sides and 21 keypoints of every hand in a picture."""

from __future__ import annotations

import os

# Ultralytics reads these once, when it is imported. Values the user has set are kept.
os.environ.setdefault("YOLO_OFFLINE", "true")  # no look-ups, no downloads, no usage reports
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")  # a stranger's checkpoint runs no code
