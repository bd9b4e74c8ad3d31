"""Build script of the free hand: a MANO-format hand made from CC0 MakeHuman data.

Nothing here runs in ordinary use: the package ships the built files in `weights/free_hand`.
Rebuild them with `python -m wilor_yolo.synth.free_hand.build --help`.

The steps, one file each: `sample_bodies` (random bodies from the `anny` wheel), `arm` (cut the
right arm, canonical frame, straight fingers), `proportions` (bone-wise lengths and thicknesses),
`subdivide` (Catmull-Clark), `decimate` (778 vertices), `shape_space` (ten betas), `regressor`
(joints from vertices), `pose_space` (mean pose and pose components), `flesh` and `corrections`
(pose correctives), `hand_file` (the left twin, writing), `build` (all of it).
"""

from __future__ import annotations
