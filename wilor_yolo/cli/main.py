"""Find the verb, run it, turn errors into one line and an exit code.

Exit codes: 0 done; 1 done in part, or `doctor` found trouble; 2 the user must mend something;
130 interrupted; 143 terminated.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

from ..errors import HandError, did_you_mean
from ..freed_memory import keep_freed_memory
from .terminated import Terminated, interrupt_on_sigterm

__all__ = ["VERBS", "main"]

# Verb -> what it does. The module of the same name in this folder has `run(args) -> int` and HELP.
VERBS = {
    "predict": "find and rebuild the hands of pictures, folders, videos or a camera",
    "detect": "train, val, predict, track, export or ablate the detector (an Ultralytics YOLO)",
    "reconstruct": "train, val, export or ablate the reconstructor",
    "weights": "info about weight files; convert them",
    "data": "convert, check and show data sets",
    "synth": "render synthetic training pictures",
    "annotate": "turn videos and pictures into a hand data set",
    "evaluate": "measure the detector or the reconstructor on annotated data",
    "bench": "measure the speed of the chain on this machine",
    "doctor": "check this installation",
}

# What verbs of `yolo` are called here.
_OF_YOLO = {
    "benchmark": "'bench'",
    "checks": "'doctor'",
    "export": "'detect export' or 'reconstruct export'",
    "pose": "'detect'",
    "track": "'detect track' or 'predict source=clip.mp4'",
    "train": "'detect train' or 'reconstruct train'",
    "val": "'detect val' or 'reconstruct val'",
}

_HELP = """\
wilor-yolo: find every hand in a picture and rebuild each one in 3D

  wilor-yolo predict                        run on a bundled picture, write to runs/predict
  wilor-yolo predict source=photo.jpg       a picture, folder, "*.jpg", list.txt, video or camera 0
  wilor-yolo VERB --help                    the keys of a verb, with an example

Verbs:
{verbs}

Arguments are key=value, as with `yolo`.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the words after ``wilor-yolo``; those of the process by default.

    Returns:
        The exit code.
    """
    if argv is None:
        argv = sys.argv[1:]
        # Ultralytics takes a program whose name ends in "yolo" for its own command line, and then
        # `predict` returns nothing. It keeps a reference to this very list.
        sys.argv[0] = __file__
        keep_freed_memory()  # the process is ours; callers from Python decide for themselves
        interrupt_on_sigterm()
    _quiet_dependencies()
    try:
        return _dispatch(list(argv))
    except HandError as error:
        return _fail(str(error))
    except Terminated:
        print("wilor-yolo: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("wilor-yolo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `wilor-yolo ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ImportError as error:
        from .trouble import explain_import

        if (message := explain_import(error)) is None:
            raise
        return _fail(message)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            return _fail("the disk is full; make room and run the same command again.")
        if error.filename is None or error.strerror is None:
            raise
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            return _fail(f"{error.filename}: a file is where a folder should be; give another.")
        return _fail(f"{error.filename}: {error.strerror}.")


def _dispatch(argv: list[str]) -> int:
    words = [word for word in argv if word not in {"-h", "--help", "help"}]
    if not words:
        print(_help(), end="")
        return 0
    verb, *args = words
    if verb in {"-V", "--version", "version"}:
        from .. import __version__

        print(f"wilor-yolo {__version__}")
        return 0
    if verb not in VERBS:
        hint = did_you_mean(verb, VERBS)
        if verb in _OF_YOLO:
            hint = f" Did you mean {_OF_YOLO[verb]}?"
        if "=" in verb or "." in verb or os.path.exists(verb):
            hint = " Write the verb first, as in: wilor-yolo predict source=photo.jpg"
        raise HandError(f"there is no verb {verb!r}.{hint}")
    module = import_module(f".{verb}", __package__)
    if len(words) < len(argv):  # help was asked for, wherever that stands
        print(module.HELP, end="")
        return 0
    return module.run(args)


def _help() -> str:
    return _HELP.format(verbs="\n".join(f"  {verb:<12} {line}" for verb, line in VERBS.items()))


def _fail(message: str) -> int:
    print(f"wilor-yolo: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _quiet_dependencies() -> None:
    """No usage reports, no look-ups, no installing behind one's back.

    Ultralytics reads these when it is imported: offline, it sends no events whatever its settings
    file says, so that file is left alone. What the user has set himself is kept.
    """
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
