"""``wilor-yolo predict``: find and rebuild hands, draw them, write them to files."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from ..detect.stock_files import ultralytics_folder
from ..errors import HandError
from .keys import describe_keys, read_keys
from .predict_options import PredictOptions

__all__ = ["HELP", "bundled_picture", "run"]

HELP = f"""\
wilor-yolo predict: find and rebuild the hands of pictures, videos or a camera

  wilor-yolo predict
  wilor-yolo predict source=photo.jpg focal=1400
  wilor-yolo predict source=clip.mp4 draw=mesh max_frames=300
  wilor-yolo predict source="holiday/*.jpg" save=False out=hands
  wilor-yolo predict source=list.txt engine=local workers=8 out=hands

Writes into out=, for each picture: the picture with the hands drawn in (.jpg), a 3D scene (.glb),
and hands.json (with several pictures: NAME.hands.json), which Hands.from_json reads back.
For a video: NAME.mp4 and hands.jsonl, whose lines are {{"frame", "time", "hands"}}.

Keys [defaults]:
{describe_keys(PredictOptions)}
"""


def run(args: list[str]) -> int:
    """Run the verb; 0 if all went well, 1 if some pictures failed."""
    import os

    options = read_keys(PredictOptions, args, "predict")
    os.environ.setdefault("YOLO_VERBOSE", "false")  # our own table says it better
    if options.engine != "single":
        from .predict_batch import predict_batch

        return predict_batch(options)

    from ..sources import Pictures, Video, find_source
    from .chain import make_pipeline
    from .folder import folder_of_run

    if options.show:
        from .pictures import check_display

        check_display()
    source = find_source(bundled_picture() if options.source is None else options.source)
    if isinstance(source, Pictures) and source.videos:
        print(
            f"note: videos in {source.name} are left out ({source.videos}); give one by name, or "
            "engine=local to take all.",
            file=sys.stderr,
        )
    made = folder_of_run(options.out, options.exist_ok) if options.writes else nullcontext()
    with made as folder:
        pipeline = make_pipeline(options)
        if isinstance(source, Video):
            from .videos import predict_video

            return predict_video(pipeline, source, options, folder)
        from .pictures import predict_pictures

        return predict_pictures(pipeline, source, options, folder)


def bundled_picture() -> Path:
    """The picture inside the ultralytics package."""
    path = ultralytics_folder() / "assets" / "zidane.jpg"
    if not path.is_file():
        raise HandError(f"{path} is missing; give a picture of your own with source=.")
    return path
