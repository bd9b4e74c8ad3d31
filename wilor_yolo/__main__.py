"""``python -m wilor_yolo`` is the command ``wilor-yolo``."""

from __future__ import annotations

from .cli.main import main

raise SystemExit(main())
