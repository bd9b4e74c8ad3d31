"""The WHIM engine: from videos and pictures to boxes, sides, landmarks and fitted hands.

Paper section 3. Needs the extra `annotate` for MediaPipe's detector; all else runs without it.
"""
