"""The train section of an experiment: how the network learns, with a default for every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator


class Section(BaseModel):
    """Frozen, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Train(Section):
    epochs: int = Field(100, ge=1, description="At most this many passes over the training rows.")
    minutes: float | None = Field(
        None, gt=0, description="Time budget of the training; where it ended is noted as steps, for a rerun."
    )
    steps: int | None = Field(None, ge=1, description="At most this many optimizer steps in all.")
    batch_size: int = Field(
        64,
        ge=1,
        description="Rows per batch; 64 if not given and network.kind is not auto; auto: by the rows.",
    )
    accumulate: int = Field(1, ge=1, description="Batches per optimizer step, their gradients summed up.")
    loss: Literal["auto", "cross_entropy", "focal", "mse", "mae", "huber", "quantile"] = Field(
        "auto", description="auto: cross_entropy for classes, mse for numbers; quantile predicts an interval."
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class weighs the same in the loss, however few its rows."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the truth spread over all classes.")
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.05, 0.5, 0.95), description="For loss: quantile; 0.5 is the prediction, the others its bounds."
    )
    optimizer: str = Field(
        "adamw", description="adamw, sgd, or a class of torch.optim by its name, such as RAdam."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Of optimizer: sgd.")
    learning_rate: float = Field(0.001, gt=0, le=10, description="The optimizer's step size, at its peak.")
    weight_decay: float = Field(
        0.01, ge=0, description="Decoupled for adamw; an L2 penalty for sgd and most of torch's."
    )
    patience: int = Field(10, ge=1, description="Epochs without a better monitored metric before it stops.")
    monitor: str = Field(
        "validation/loss", description="The metric that says which epoch is best, such as validation/roc_auc."
    )
    schedule: Literal["constant", "cosine", "one_cycle", "plateau"] = Field(
        "constant",
        description="How the learning rate goes over all epochs (with minutes: those that are found to fit); "
        "plateau: it halves after a third of patience.",
    )
    warmup_epochs: float = Field(
        0.0, ge=0, description="Epochs, or a part of one, over which the rate rises."
    )
    clip_norm: float | None = Field(None, gt=0, description="Longer gradients are scaled to this length.")
    average: float | None = Field(
        None, gt=0, lt=1, description="Decay of a moving average of the weights, which is then what is kept."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: the network's forward pass in autocast; weights stay float32."
    )
    device: Literal["cpu", "cuda", "mps", "auto"] = Field(
        "cpu", description="Where it trains; identical bits are promised for cpu alone."
    )
    threads: int = Field(
        1, ge=1, le=256, description="CPU threads of each process; another count gives other last bits."
    )
    processes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Processes that share each step, of batch_size rows each; see docs/processes.md.",
    )

    @field_validator("quantiles")
    @classmethod
    def _has_a_median(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if 0.5 not in quantiles or len(set(quantiles)) < len(quantiles):
            raise ValueError("train.quantiles must be different numbers with 0.5 among them")
        return quantiles


BY_RULE = (
    "epochs", "batch_size", "learning_rate", "weight_decay", "patience", "schedule", "clip_norm", "average"
)  # fmt: skip


def _with_auto(name: str) -> Any:
    """The field of Train, with ``auto`` as one more value and as the default."""
    field = Train.model_fields[name]
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return (kind | Literal["auto"], Field("auto", description=field.description))


if TYPE_CHECKING:
    TrainKeys = Train
else:
    TrainKeys = create_model(
        "TrainKeys",
        __base__=Train,
        __doc__="The train section as it is written: what says auto is decided by etude.networks.auto.",
        **{name: _with_auto(name) for name in BY_RULE},
    )
