"""Write an MP4 that browsers and phones play, frame by frame."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HandError

__all__ = ["VideoWriter"]

_CRF = "20"  # x264's quality: good, at about a megabyte per ten seconds of 720p


class VideoWriter:
    """H.264 through PyAV (which supervision brings), else MPEG-4 through OpenCV.

    The file gets its name when it is closed; the size is that of the first frame. As a context
    manager it closes the file at the end of the block, and drops it after an exception: one that
    was at `path` is then as it was.

    Args:
        path: an ``.mp4`` file.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        # The writers choose the format by the ending, so it cannot be .part; hidden, what a killed
        # process leaves is still taken for a video by nobody who looks through the folder.
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._fps = fps
        self._size: tuple[int, int] | None = None
        self._sink: _H264 | cv2.VideoWriter | None = None
        self._written = 0
        self._last: np.ndarray | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
            return
        with suppress(Exception):  # the first error is the one to tell
            self._release()
        self._part.unlink(missing_ok=True)

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Append a frame.

        Args:
            frame: (H, W, 3) uint8 BGR; with `time` it must not be changed before the next call.
            time: seconds from the start at which it is to be seen: the frame before is repeated
                until then, and a frame too soon after it is left out. By default it is the next.

        Raises:
            HandError: the file cannot be written, or the frame has another size than the first.
        """
        size = frame.shape[1], frame.shape[0]
        if self._sink is None:
            self._size = size
            self._sink = self._open(size)
        if size != self._size:
            raise HandError(f"{self._path}: a frame is {size}, the first was {self._size}.")
        frame = np.ascontiguousarray(frame)
        if time is not None:
            number = round(time * self._fps)
            if number < self._written:
                return
            while self._last is not None and self._written < number:
                self._append(self._last)
            self._last = frame
        self._append(frame)

    def _append(self, frame: np.ndarray) -> None:
        assert self._sink is not None
        self._sink.write(frame)
        self._written += 1

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._sink is not None:
            try:
                self._release()
                os.replace(self._part, self._path)
            finally:
                self._part.unlink(missing_ok=True)

    def _release(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.release()

    def _open(self, size: tuple[int, int]) -> _H264 | cv2.VideoWriter:
        try:
            return _H264(self._part, self._fps, size)
        except (ImportError, ValueError):  # no PyAV, or one built without x264
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            sink = cv2.VideoWriter(str(self._part), fourcc, self._fps, size)
        if not sink.isOpened():
            raise HandError(f"{self._path} cannot be written; leave the video out with save=False.")
        return sink


class _H264:
    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import av

        av.codec.Codec("libx264", "w")  # raises ValueError if this build has none
        self._av: Any = av
        self._container: Any = av.open(str(path), "w", options={"movflags": "faststart"})
        rate = Fraction(fps).limit_denominator(1001)
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        # The colour format that plays everywhere halves both sides.
        self._odd = size[0] % 2, size[1] % 2
        self._stream.width, self._stream.height = size[0] + self._odd[0], size[1] + self._odd[1]
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": _CRF, "preset": "veryfast"}

    def write(self, frame: np.ndarray) -> None:
        if any(self._odd):
            frame = cv2.copyMakeBorder(
                frame, 0, self._odd[1], 0, self._odd[0], cv2.BORDER_REPLICATE
            )
        for packet in self._stream.encode(self._av.VideoFrame.from_ndarray(frame, format="bgr24")):
            self._container.mux(packet)

    def release(self) -> None:
        with self._container:  # is closed whatever happens
            for packet in self._stream.encode():
                self._container.mux(packet)
