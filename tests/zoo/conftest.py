"""What the tests of converted weights share."""

from collections.abc import Callable, Mapping, Sequence

import peers
import pytest
import torch
from torch import Tensor, nn

from svertka.zoo.renaming import rename

Converter = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@pytest.fixture
def assert_parity() -> Callable[..., None]:
    """Compare with a network that no library has as it stands: ``assert_parity(ours, theirs, rules, image_shape)``."""

    def check(
        ours: nn.Module,
        theirs: nn.Module,
        conversion: Sequence[tuple[str, str]] | Converter,
        image_shape: tuple[int, ...],
    ) -> None:
        x = torch.randn(image_shape, generator=torch.Generator().manual_seed(1))
        with peers.one_thread(), torch.no_grad():
            peers.disturb_norms(theirs, x)
            state = theirs.state_dict()
            ours.load_state_dict(conversion(state) if callable(conversion) else rename(state, conversion))
            found = peers.difference(ours.eval()(x), theirs.eval()(x))
        assert found.relative <= peers.TOLERANCE

    return check
