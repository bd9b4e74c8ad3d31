"""MediaPipe Hands as its own package runs it, for `detectors.py`: it needs numpy 1.26, so an
environment of its own, in which this script is started with nothing of ours.

    python benchmarks/mediapipe_package.py pictures.txt detections.json

Writes the hands of every picture of the list, in the layout `evaluate detection` reads, says
"ready", and then, for each line of picture numbers on its input, runs these pictures again and
prints the seconds a picture: by the clock, and of the processor. The package gives no score of a
detection; that of the side stands in for it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import mediapipe
import numpy as np

MOST_HANDS = 8
LOW = 0.1  # palm score for the precision curve; the package's own threshold is 0.5
PAD = 0.10  # of the larger side of the keypoints' rectangle, as our own chain pads it


def main() -> int:
    listing, out = (Path(argument) for argument in sys.argv[1:3])
    files = listing.read_text(encoding="utf-8").split("\n")
    images = [cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB) for name in files]
    low, work = (
        mediapipe.solutions.hands.Hands(
            static_image_mode=True, max_num_hands=MOST_HANDS, min_detection_confidence=score
        )
        for score in (LOW, 0.5)
    )
    found = [
        {"file": file, "hands": hands_of(low.process(image), image)}
        for file, image in zip(files, images, strict=True)
    ]
    out.write_text(json.dumps({"detections": found}), encoding="utf-8")
    print("ready", flush=True)
    for line in sys.stdin:
        numbers = [int(word) for word in line.split()]
        begin, used = time.perf_counter(), time.process_time()
        for number in numbers:
            work.process(images[number])
        clock, processor = time.perf_counter() - begin, time.process_time() - used
        print(clock / len(numbers), processor / len(numbers), flush=True)
    return 0


def hands_of(result, image: np.ndarray) -> list[dict]:
    """The hands of a picture; the package's sides are those of a mirrored selfie."""
    hands = []
    for landmarks, side in zip(
        result.multi_hand_landmarks or (), result.multi_handedness or (), strict=True
    ):
        points = np.array([(p.x, p.y) for p in landmarks.landmark]) * image.shape[1::-1] - 0.5
        low, high = points.min(0), points.max(0)
        pad = PAD * (high - low).max()
        label = side.classification[0]
        hands.append(
            {
                "box": [*(low - pad), *(high + pad)],
                "confidence": label.score,
                "side": {"Left": "right", "Right": "left"}[label.label],
                "keypoints": points.tolist(),
            }
        )
    return hands


if __name__ == "__main__":
    raise SystemExit(main())
