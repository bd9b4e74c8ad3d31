"""COCO's average precision of anything that has a score and a likeness to what is true.

Predictions of all pictures are sorted by score, each takes the free true object it is most like in
its picture, and precision is read at 101 recalls from its upper envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_PREDICTIONS", "Question", "area_under_curve", "match"]

MOST_PREDICTIONS = 100  # a picture that count, the surest ones, as in COCO
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Question:
    """What is asked of P predictions in a picture with T true objects.

    Attributes:
        likeness: (P, T) 0 to 1, box IoU for one.
        scores: (P,).
        wanted: (T,) bool, objects to be found.
        tolerated: (T,) bool, objects that are neither asked for nor held against who finds them.
        judged: (P,) bool, predictions that are wrong when they find nothing; others do not count.
    """

    likeness: np.ndarray
    scores: np.ndarray
    wanted: np.ndarray
    tolerated: np.ndarray
    judged: np.ndarray


def area_under_curve(questions: Sequence[Question], threshold: float) -> float:
    """Average precision of finding objects with a likeness of at least `threshold`.

    NaN when nothing is wanted.
    """
    scores, hits, wanted = [np.zeros(0)], [np.zeros(0, bool)], 0
    for asked in questions:
        wanted += int(asked.wanted.sum())
        surest = np.argsort(-asked.scores, kind="stable")[:MOST_PREDICTIONS]
        own = asked.scores[surest]
        found = match(asked.likeness[surest], own, threshold, (asked.wanted, asked.tolerated))
        hit = np.array([i >= 0 and asked.wanted[i] for i in found], bool)
        counted = hit | ((found < 0) & asked.judged[surest])
        scores.append(own[counted])
        hits.append(hit[counted])
    if wanted == 0:
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.cumsum(np.concatenate(hits)[order])
    if len(right) == 0:
        return 0.0
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    at = np.searchsorted(right / wanted, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())


def match(
    likeness: np.ndarray, scores: np.ndarray, threshold: float, rounds: Sequence[np.ndarray]
) -> np.ndarray:
    """For each prediction the index of the true object it finds, or -1; best scores choose first.

    Args:
        likeness: (P, T).
        scores: (P,).
        threshold: lowest likeness of a find.
        rounds: masks (T,) of the objects a prediction may take, tried in this order.
    """
    found = np.full(len(scores), -1)
    free = np.ones(likeness.shape[1], bool)
    near = np.any(likeness >= threshold, axis=1)  # most predictions are of no object at all
    for index in np.argsort(-scores, kind="stable"):
        if not near[index]:
            continue
        for allowed in rounds:
            candidates = np.where(allowed & free, likeness[index], -1.0)
            if candidates.size and candidates.max() >= threshold:
                found[index] = int(candidates.argmax())
                free[found[index]] = False
                break
    return found
