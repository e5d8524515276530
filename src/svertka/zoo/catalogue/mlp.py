"""Perceptrons, of one layer and of several."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="perceptron",
        builder="svertka.nets.mlp:perceptron",
        year=1958,
        paper="Rosenblatt, The Perceptron",
        image_size=32,
        channels=1,
        classes=10,
        parameters=10_250,
        smallest=1,
        one_size=True,
    ),
    NetRecord(
        name="mlp",
        builder="svertka.nets.mlp:MLP",
        year=1986,
        paper="Rumelhart et al., Learning Representations by Back-Propagating Errors",
        image_size=32,
        channels=1,
        classes=10,
        parameters=296_586,
        smallest=1,
        one_size=True,
    ),
)
