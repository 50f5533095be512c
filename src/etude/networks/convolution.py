"""A convolutional network for small images whose cells are columns of the table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from etude.networks.dropout import Dropout
from etude.networks.inputs import Inputs
from etude.networks.normalisation import BatchNorm2d
from etude.networks.sizes import Sizes

SMALLEST_SIDE = 4  # of a map that is still halved


class CNN(nn.Module):
    """A block of 3x3 convolution, batch norm, ReLU and 2x2 maximum for each of ``hidden`` (its channels; the maps are
    halved while both sides have at least 4 cells), then Dropout and ``head``.

    The other columns join before ``head`` through one layer of their own.
    """

    def __init__(
        self, sizes: Sizes, image: tuple[int, int, int], hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.image, self.cells = image, image[0] * image[1] * image[2]
        self.maps = nn.Sequential(*_blocks(image, hidden))
        rest = Sizes(sizes.numbers - self.cells, sizes.cardinalities, sizes.outputs, sizes.task)
        self.inputs = Inputs(rest, "plain") if rest.numbers or rest.cardinalities else None
        self.beside = nn.Linear(self.inputs.width, hidden[-1]) if self.inputs else None
        self.dropout = Dropout(dropout)
        height, width = _last_sides(image, hidden)
        self.head = nn.Linear(hidden[-1] * height * width + (hidden[-1] if self.inputs else 0), sizes.outputs)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        image = numbers[:, : self.cells].reshape(-1, *self.image)
        # Channels last from the first maps on (one channel alone cannot say so): a quarter less CPU.
        maps = self.maps[0](image).contiguous(memory_format=torch.channels_last)
        found: Tensor = self.maps[1:](maps).flatten(1)
        if self.inputs is not None and self.beside is not None:
            beside = torch.relu(self.beside(self.inputs(numbers[:, self.cells :], categories)))
            found = torch.cat([found, beside], dim=1)
        outputs: Tensor = self.head(self.dropout(found))
        return outputs


def _blocks(image: tuple[int, int, int], hidden: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, channels, halved in zip((image[0], *hidden), hidden, _halvings(image, hidden), strict=False):
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), BatchNorm2d(channels), nn.ReLU()]
        if halved:
            layers.append(nn.MaxPool2d(2))
    return layers


def _halvings(image: tuple[int, int, int], hidden: tuple[int, ...]) -> list[bool]:
    """Whether the maps of each block are halved."""
    side = min(image[1:])
    found = []
    for _ in hidden:
        found.append(side >= SMALLEST_SIDE)
        side = side // 2 if side >= SMALLEST_SIDE else side
    return found


def _last_sides(image: tuple[int, int, int], hidden: tuple[int, ...]) -> tuple[int, int]:
    _, height, width = image
    for halved in _halvings(image, hidden):
        height, width = (height // 2, width // 2) if halved else (height, width)
    return height, width
