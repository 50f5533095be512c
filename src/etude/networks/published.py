"""Architectures from the packages of their authors: TabM, ResNet for tables, FT-Transformer."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from etude.experiment import Numbers
from etude.networks.inputs import Inputs
from etude.networks.own_parts import with_own_parts
from etude.networks.sizes import Sizes

TRANSFORMER_BLOCKS = 3


class TabM(nn.Module):
    """``members`` perceptrons that share their weights but for a scale of every unit and the output layer
    (Gorishniy et al. 2025).

    In training float32[b, members, outputs], so that each member has a loss of its own; else float32[b, outputs]:
    the logarithm of the members' mean probabilities, or their mean value.
    """

    def __init__(
        self, sizes: Sizes, numbers: Numbers, hidden: tuple[int, ...], dropout: float, members: int
    ) -> None:
        import tabm

        super().__init__()
        self.classes = sizes.task == "classification"
        self.inputs = Inputs(sizes, numbers)
        self.view = tabm.EnsembleView(k=members)
        backbone = tabm.make_tabm_backbone(
            d_in=self.inputs.width,
            n_blocks=len(hidden),
            d_block=hidden[0],
            dropout=dropout,
            k=members,
            start_scaling_init="random-signs",
            start_scaling_init_chunks=self.inputs.widths,
        )
        self.backbone = with_own_parts(backbone)
        self.head = tabm.LinearEnsemble(hidden[0], sizes.outputs, k=members)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.backbone(self.view(self.inputs(numbers, categories))))
        if self.training:
            return outputs
        if self.classes:
            shares = torch.log_softmax(outputs, dim=-1)
            return torch.logsumexp(shares, dim=1) - math.log(outputs.shape[1])
        return outputs.mean(dim=1)


class ResNet(nn.Module):
    """The residual network of Gorishniy et al. 2021: blocks of batch norm, Linear, ReLU, Dropout, Linear."""

    def __init__(self, sizes: Sizes, numbers: Numbers, hidden: tuple[int, ...], dropout: float) -> None:
        import rtdl_revisiting_models as package

        super().__init__()
        self.inputs = Inputs(sizes, numbers)
        body = package.ResNet(
            d_in=self.inputs.width,
            d_out=sizes.outputs,
            n_blocks=len(hidden),
            d_block=hidden[0],
            d_hidden_multiplier=2.0,
            dropout1=dropout,
            dropout2=0.0,
        )
        self.body = with_own_parts(body)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        head: nn.Module = cast("Any", self.body).output.linear
        return head

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        outputs: Tensor = self.body(self.inputs(numbers, categories))
        return outputs


class FTTransformer(nn.Module):
    """A transformer over one token a column (Gorishniy et al. 2021), of three blocks as wide as ``hidden`` says
    (rounded up to its 8 heads); attention has a dropout of ``dropout``.
    """

    def __init__(self, sizes: Sizes, hidden: tuple[int, ...], dropout: float) -> None:
        import rtdl_revisiting_models as package

        super().__init__()
        self.has = (sizes.numbers > 0, len(sizes.cardinalities) > 0)
        settings: dict[str, Any] = package.FTTransformer.get_default_kwargs(TRANSFORMER_BLOCKS)
        heads = settings["attention_n_heads"]
        settings |= {
            "d_block": -(-hidden[0] // heads) * heads,
            "attention_dropout": dropout,
            "ffn_dropout": dropout,
        }
        body = package.FTTransformer(
            n_cont_features=sizes.numbers,
            cat_cardinalities=list(sizes.cardinalities),
            **settings | {"d_out": sizes.outputs},
        )
        self.body = with_own_parts(body)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        head: nn.Module = cast("Any", self.body).backbone.output.linear
        return head

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        has_numbers, has_categories = self.has
        outputs: Tensor = self.body(numbers if has_numbers else None, categories if has_categories else None)
        return outputs
