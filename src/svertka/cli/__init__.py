"""The command line: read the arguments, call the command, print what it returns."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType

from cyclopts import App, CycloptsError

from svertka import __version__, prepare
from svertka.errors import UserError, harmless

_COMMANDS = (
    ("demo", "demo", "The whole way once, on handwritten digits: train, report, export, verify, predict."),
    ("nets", "nets", "List the networks, or show the stages of one."),
    ("check", "check", "Look at a data set before anything is trained."),
    ("convert", "convert", "Write a data set in another format: class folders, COCO, VOC, YOLO or CSV."),
    (
        "compare",
        "compare",
        "Hold several ways of learning against each other on a folder of images, and say which to take.",
    ),
    ("train", "train", "Train a network on a folder of images."),
    ("diagnose", "diagnose", "Say what is wrong with a training, finished or not."),
    ("evaluate", "evaluate", "Measure how good a model is on a data set."),
    ("predict", "predict", "Say what is in images."),
    ("explain", "explain", "Show what a model has learnt, and what its predictions go by."),
    ("adopt", "adopt", "Turn a checkpoint of torchvision, timm, Keras or Caffe into a model file."),
    ("prune", "prune", "Make a trained network smaller, and train it to make up for that."),
    ("export", "export", "Write a model in a format that other programs run, and prove it."),
    ("serve", "serve", "Answer over HTTP, with a page to ask on."),
    ("verify", "verify", "Let a model file prove itself in every engine at hand."),
    (
        "bench",
        "bench",
        "Measure how fast models run here, beside what the machine can do at best.",
    ),
)

_LONGEST = 500  # characters of a library's message

app = App(
    name="svertka",
    help="A folder of images becomes a trained, explained and deployed convolutional network.",
    version=f"svertka {__version__}",
    help_epilogue="Every command has --help, and --json for one JSON document on standard output.\n\n"
    "Exit status: 0 if all is well, 1 if what was asked for was found wanting, 2 for a mistake in the input.",
    version_flags=["--version"],
    help_format="plaintext",  # Markdown costs a fifth of the time that help takes
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # said below
)
for _name, _module, _help in _COMMANDS:
    # Named, not imported: help must not wait for what only one command needs.
    app.command(f"svertka.cli.{_module}:{_name}", name=_name, help=_help)


def main() -> None:
    """Run the command line and exit with its status."""
    signal.signal(signal.SIGTERM, _interrupt)
    prepare()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that this terminal cannot show must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command. ``--debug`` shows the traceback of a user's mistake as well.

    Returns:
        The exit status: 0, 1 if a check found something wrong, 2 for a mistake in the input.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
    except UserError as error:
        if debug:
            raise
        return _complain(str(error))
    except CycloptsError as error:
        if debug:
            raise
        command = next((argument for argument in arguments if not argument.startswith("-")), "")
        known = any(command == name for name, _, _ in _COMMANDS)
        return _complain(f"{' '.join(str(error).split())} See: svertka {f'{command} ' if known else ''}--help")
    except KeyboardInterrupt:
        if debug:
            raise
        return _complain("interrupted; nothing was left half-written")
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:  # what the system refuses, such as a folder that may not be read
        if debug:
            raise
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:  # a fault of ours: its traceback says nothing to a user
        if debug:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        return _complain(f"unexpected {what}; this is a fault of svertka, and --debug shows where")
    return status if isinstance(status, int) else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _complain(text: str) -> int:
    print(f"svertka: {harmless(text)}", file=sys.stderr)
    return 2
