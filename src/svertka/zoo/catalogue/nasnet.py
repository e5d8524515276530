"""NASNet-A."""

from typing import Any

from svertka.zoo.published import keras_weights, timm_weights
from svertka.zoo.records import NetRecord


def _record(size: str, image_size: int, arguments: dict[str, Any], *, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"nasnet_{size}",
        builder="svertka.nets.nasnet:NASNet",
        arguments=arguments,
        year=2017,
        paper="Zoph et al., Learning Transferable Architectures for Scalable Image Recognition",
        image_size=image_size,
        parameters=parameters,
        smallest=3,
    )


NETS = (
    # As Keras has it, where its weights come from: 5,326,716 with the moving statistics.
    _record("mobile", 224, {"cells": 4, "features": 1056, "stem": 32, "zero_border": True}, parameters=5_289_978),
    # As timm has it, where its weights come from; Keras counts 88,949,818 with the moving statistics.
    _record("large", 331, {"cells": 6, "features": 4032, "stem": 96, "skip_reduction": True}, parameters=88_753_150),
)


def _timm() -> tuple[tuple[str, str], ...]:
    cells = 6
    rules = [
        (r"conv0\.conv\.weight", r"trunk.stem.conv.weight"),
        (r"conv0\.bn\.(\w+)", r"trunk.stem.norm.\1"),
        (r"last_linear\.(\w+)", r"head.linear.\1"),
    ]
    reductions = ("cell_stem_0", "cell_stem_1", "reduction_cell_0", "reduction_cell_1")
    ours = {name: f"trunk.reduction{number}.cell" for number, name in enumerate(reductions, start=1)}
    ours |= {f"cell_{i}": f"trunk.normal{i // cells + 1}.cells.{i % cells}" for i in range(3 * cells)}
    # The cell behind a reduction halves its older input itself; with us the stage of the reduction does.
    halvings = {"cell_stem_1": 1, "cell_0": 2, "cell_6": 3, "cell_12": 4}
    for name, cell in ours.items():
        if name in halvings:
            halving = f"trunk.reduction{halvings[name]}.halving"
            rules += [
                (rf"{name}\.path_1\.conv\.weight", f"{halving}.even.weight"),
                (rf"{name}\.path_2\.conv\.weight", f"{halving}.odd.weight"),
                (rf"{name}\.final_path_bn\.(\w+)", rf"{halving}.norm.\1"),
            ]
        rules += [
            (rf"{name}\.conv_1x1\.conv\.weight", f"{cell}.newer.conv.weight"),
            (rf"{name}\.conv_1x1\.bn\.(\w+)", rf"{cell}.newer.norm.\1"),
            (rf"{name}\.conv_prev_1x1\.conv\.weight", f"{cell}.older.conv.weight"),
            (rf"{name}\.conv_prev_1x1\.bn\.(\w+)", rf"{cell}.older.norm.\1"),
        ]
        for branch in range(5):
            theirs, branches = rf"{name}\.comb_iter_{branch}_(left|right)", rf"{cell}.\g<1>{branch + 1}"
            rules += [
                (rf"{theirs}\.separable_(\d)\.(\w+)_conv2d\.weight", rf"{branches}.\3\2.weight"),
                (rf"{theirs}\.bn_sep_(\d)\.(\w+)", rf"{branches}.norm\2.\3"),
            ]
    return tuple(rules)


def _keras(cells: int) -> tuple[tuple[str, str], ...]:
    rules = [
        (r"stem_conv1\.weight", r"trunk.stem.conv.weight"),
        (r"stem_bn1\.(\w+)", r"trunk.stem.norm.\1"),
        (r"predictions\.(\w+)", r"head.linear.\1"),
    ]
    # Keras numbers the normal cells through, but leaves out one number for the first reduction between them.
    starts = (0, cells + 1, 2 * cells + 1)
    reductions = ("stem_1", "stem_2", f"reduce_{cells}", f"reduce_{2 * cells}")
    ours = {name: f"trunk.reduction{number}.cell" for number, name in enumerate(reductions, start=1)}
    for group, start in enumerate(starts, start=1):
        ours |= {f"{start + i}": f"trunk.normal{group}.cells.{i}" for i in range(cells)}
    halvings = {"stem_2": 1, **{f"{start}": number for number, start in enumerate(starts, start=2)}}
    for name, cell in ours.items():
        if name in halvings:
            halving = f"trunk.reduction{halvings[name]}.halving"
            rules += [
                (f"adjust_conv_1_{name}.weight", f"{halving}.even.weight"),
                (f"adjust_conv_2_{name}.weight", f"{halving}.odd.weight"),
                (rf"adjust_bn_{name}\.(\w+)", rf"{halving}.norm.\1"),
            ]
        rules += [
            (rf"(?:normal|reduction)_conv_1_{name}\.weight", f"{cell}.newer.conv.weight"),
            (rf"(?:normal|reduction)_bn_1_{name}\.(\w+)", rf"{cell}.newer.norm.\1"),
            (rf"adjust_conv_projection_{name}\.weight", f"{cell}.older.conv.weight"),
            (rf"adjust_bn_{name}\.(\w+)", rf"{cell}.older.norm.\1"),
            # In reduction cells, Keras calls the left branch of the fifth sum "left4".
            (rf"separable_conv_(\d)_reduction_left4_{name}\.(\w+)\.weight", rf"{cell}.left5.\2\1.weight"),
            (rf"separable_conv_(\d)_bn_reduction_left4_{name}\.(\w+)", rf"{cell}.left5.norm\1.\2"),
            (rf"separable_conv_(\d)_[a-z]+_([a-z]+\d)_{name}\.(\w+)\.weight", rf"{cell}.\2.\3\1.weight"),
            (rf"separable_conv_(\d)_bn_[a-z]+_([a-z]+\d)_{name}\.(\w+)", rf"{cell}.\2.norm\1.\3"),
        ]
    return tuple(rules)


KEYS = {
    "timm": _timm(),
    # Of keys as svertka.zoo.keras gives them; the two sizes have different numbers.
    "keras": _keras(cells=4),
    "keras_large": _keras(cells=6),
}

ARGUMENTS = {"keras": {"zero_border": True}, "keras_large": {"zero_border": True}}

WEIGHTS = (
    keras_weights("nasnet_mobile", "nasnet/NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61", 0.744, 0.919),
    timm_weights("nasnet_large", "nasnetalarge.tf_in1k", 82.638, 96.066, size=331, crop=0.911),
    keras_weights(
        "nasnet_large",
        "nasnet/NASNet-large.h5",
        "11577c9a518f0070763c2b964a382f17",
        0.825,
        0.960,
        source="keras_large",
        image_size=331,
    ),
)
