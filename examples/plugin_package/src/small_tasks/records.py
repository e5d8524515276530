"""What this package registers. Records name their parts as ``"module:name"``, so that reading them imports no torch."""

from __future__ import annotations

from small_tasks.results import DrawnPicture, Vector
from small_tasks.waves_reader import is_waves, read_waves
from svertka.data.samples import Format
from svertka.task_records.record import TaskRecord
from svertka.zoo.records import NetKind, NetRecord

NOISE = 16
"""Length of the noise that a picture is drawn from."""

WAVES = (
    Format("waves", "class folders of series in CSV", is_waves, read_waves),
    NetRecord(
        name="wave_net",
        media="series",
        builder="small_tasks.waves_net:WaveNet1d",
        year=2017,
        paper="Wang et al., Time Series Classification from Scratch with Deep Neural Networks, here smaller",
        image_size=64,
        channels=1,
        classes=3,
        smallest=1,
    ),
    TaskRecord(
        name="wave_classification",
        media="series",
        gives="classes",
        contract="classifier",
        suits=lambda labels: all(isinstance(label, str) for label in labels),
        learnt="small_tasks.waves:WaveClassification.learnt_from",
        opened="small_tasks.waves:WaveClassification.of_card",
        decoder="svertka.runtime.decoders.classification:classification",
        fields=("label_smoothing", "balance"),
        published=False,
        from_scratch={"epochs": 10, "batch": 16},
    ),
)

DRAWING = (
    DrawnPicture,
    NetKind("generator", "pictures", "stretch", "--net digits_gan", beyond=None, shape=lambda *_: (1, NOISE)),
    NetRecord(
        name="digits_gan",
        kind="generator",
        builder="small_tasks.gan_net:DigitsGAN",
        year=2014,
        paper="Goodfellow et al., Generative Adversarial Nets, here small and convolutional",
        image_size=8,
        channels=1,
        smallest=1,
        teachers=("discriminator",),
    ),
    TaskRecord(
        name="drawing",
        asked=True,
        gives="pictures",
        contract="generator",
        suits=lambda _: True,
        learnt="small_tasks.gan:Drawing.learnt_from",
        opened="small_tasks.gan:Drawing.of_card",
        handling="small_tasks.gan:DrawingHandling",
        decoder="small_tasks.decoders:drawn",
        from_scratch={"epochs": 30, "batch": 32, "lr": 2e-3, "schedule": "constant", "augment": ()},
    ),
)

EMBEDDING = (
    Vector,
    NetKind("embedder", "vectors", "stretch", "--net small_embedder", beyond=None),
    NetRecord(
        name="small_embedder",
        kind="embedder",
        builder="small_tasks.embedding_net:SmallEmbedder",
        year=2015,
        paper="Schroff et al., FaceNet, here a network of two convolutions",
        image_size=8,
        channels=1,
        smallest=2,
    ),
    TaskRecord(
        name="embedding",
        asked=True,
        gives="vectors",
        contract="embedder",
        suits=lambda labels: all(isinstance(label, str) for label in labels),
        learnt="small_tasks.embedding:Embedding.learnt_from",
        opened="small_tasks.embedding:Embedding.of_card",
        decoder="small_tasks.decoders:vectors",
        from_scratch={"epochs": 10, "batch": 32, "augment": ()},
    ),
)
