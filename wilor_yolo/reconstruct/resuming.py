"""Whether a training may go on from a checkpoint, and from which best score."""

from __future__ import annotations

from pathlib import Path

from ..errors import HandError, WeightsError
from ..mano.files import HandModel
from ..mano.layer import HandLayer
from .checkpoints import hand_marks, read_info, same_hand
from .config import NetworkConfig
from .run_files import TrainState, load_state
from .train_config import TrainConfig

__all__ = ["kept_score", "previous_state", "refuse_changes"]


def previous_state(config: TrainConfig, hand_model: HandModel) -> TrainState | None:
    """The checkpoint that a training goes on from; None if there is none.

    Raises:
        HandError: the checkpoint is damaged, or of another run: what cannot change is named.
    """
    path = Path(config.out) / "last.pt"
    if not path.is_file():
        return None
    if not config.resume:
        raise HandError(f"{path} exists; give resume=true, or another out= folder.")
    state = load_state(path)
    theirs_network = NetworkConfig.from_dict(state.network_config)  # keys may have come since
    if theirs_network != NetworkConfig.from_yaml(config.network):
        raise HandError(f"{path} holds another network; give another out= folder.")
    # ./shards/ is shards; an absolute path is another, for new shards are told by their paths.
    if [Path(g["path"]) for g in state.config["data"]] != [Path(g.path) for g in config.data]:
        raise HandError(f"{path} was trained on other data groups; give another out= folder.")
    # Group sizes alone do not tell the first two from others; the real poses are in the file.
    for key in ("pretrained", "frozen", "prior"):
        theirs, ours = state.config.get(key), config.to_dict()[key]
        if _plain(theirs) != _plain(ours):
            shown = "null" if theirs is None else theirs
            raise HandError(
                f"{path} was trained with {key}={shown}, which cannot change on resume; give "
                "that, or another out= folder."
            )
    if state.hand and not same_hand(state.hand, hand_marks(HandLayer(hand_model))):
        theirs = state.config.get("hand_model") or "null"
        raise HandError(
            f"{path} was trained with another hand; give that run's hand_model={theirs}, or "
            "another out= folder."
        )
    return state


def refuse_changes(config: TrainConfig, state: TrainState) -> None:
    """Of a run that is finished no key can change: nothing would be trained with it.

    Raises:
        HandError: one has; the message names it.
    """
    before, now = TrainConfig.from_dict(state.config), config
    if before.hash() == now.hash():
        return
    theirs, ours = before.to_dict(), now.to_dict()
    changed = [key for key in ours if key not in ("data", "val") and theirs[key] != ours[key]]
    if changed:
        raise HandError(
            f"{config.out} is a finished run of {state.step} steps; {', '.join(changed)} would "
            "change nothing. Give more steps= or minutes=, or another out= folder."
        )


def _plain(value: str | list[str] | None) -> Path | list[str] | None:
    """A file, or names in any order; None for no names."""
    return Path(value) if isinstance(value, str) else sorted(value or ()) or None


def kept_score(path: Path, saved: float | None) -> float | None:
    """Of the best network on disk: a killed run may have written it after its last checkpoint."""
    try:
        kept = read_info(path).get("score")
    except WeightsError:  # there is none, or it is damaged
        return saved
    return saved if kept is None else float(kept)
