"""A generator and a discriminator of pictures of 8 × 8.

I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014; the layers are those of A. Radford, L. Metz,
S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", ICLR 2016,
at a size that learns in seconds.
"""

from __future__ import annotations

from torch import Tensor, nn

from svertka.layers.trunk import Trunk


class DigitsGAN(nn.Module):
    """The generator is what is saved, exported and asked; the discriminator only teaches it.

    Args:
        in_channels: Channels of the pictures.
        noise: Length of the noise vector.
        width: Channels of the widest map.
    """

    output_names = ("picture",)

    def __init__(self, *, in_channels: int = 1, noise: int = 16, width: int = 32) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.trunk = Trunk(
            {
                "project": nn.Sequential(
                    nn.Flatten(), nn.Linear(noise, 2 * width * 4), nn.Unflatten(1, (2 * width, 2, 2)), nn.ReLU()
                ),
                "up1": nn.Sequential(
                    nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()
                ),
            },
            in_channels=1,
        )
        self.head = nn.Sequential(nn.ConvTranspose2d(width, in_channels, 4, stride=2, padding=1), nn.Tanh())
        self.discriminator = nn.Sequential(
            nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * 4, 1),
        )

    def forward(self, noise: Tensor) -> Tensor:
        """Pictures ``(N, in_channels, 8, 8)`` between −1 and 1 of noise ``(N, 1, length)``."""
        pictures: Tensor = self.head(self.trunk(noise))
        return pictures

    def outputs(self, noise: Tensor) -> dict[str, Tensor]:
        """What the exported graph gives."""
        return {"picture": self(noise)}
