"""``svertka demo``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, Whole, metrics_line, print_json, say
from svertka.cli.verify import verification_lines
from svertka.commands.demo.command import demo as run_demo


def demo(*, out: Path = Path("demo"), seed: Whole = 0, json: Json = False) -> int:
    """The whole way once, on scikit-learn's 1,797 handwritten digits.

    Writes them as class folders, trains LeNet-5, writes the report, exports to ONNX, verifies and predicts.

    Parameters
    ----------
    out
        Folder to make.
    seed
        Of the training.
    """
    done = run_demo(out, seed=seed, progress=not json)
    if json:
        print_json(done.to_json())
        return int(not done.verified.ok)
    trained, exported = done.trained, done.exported.model
    say(f"\non {trained.judged_on}: {metrics_line(trained.metrics)}")
    say("\n".join(verification_lines(done.verified)))
    for prediction in done.predictions:
        say(prediction.line())
    picture = done.predictions[0].file
    say(f"\nreport: {trained.report.resolve()}\n\nnext:")
    say(f"  svertka predict {exported} {picture}")
    say(f"  svertka serve {trained.run}")
    say(f"  svertka evaluate {trained.run} {done.data}")
    say("  svertka train YOUR_FOLDER --net lenet5 --channels 3")
    return int(not done.verified.ok)
