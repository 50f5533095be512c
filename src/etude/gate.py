"""The section ``gate`` of the experiment file: what a model must reach before it goes live."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Gate(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str | None = Field(
        None,
        pattern=r"^[^/:]{1,200}$",
        description="Name of the registered model; the experiment's name if not given.",
    )
    metric: Literal["accuracy", "log_loss", "r2", "rmse", "mae"] | None = Field(
        None, description="What is compared on the test rows; accuracy or r2 if not given."
    )
    minimum: float | None = Field(
        None, description="What the metric must reach on the test rows; of log_loss, rmse and mae its most."
    )
    not_worse_by: float = Field(
        0.0, ge=0, description="How much worse than the champion's the metric may be at most."
    )
    rows: int = Field(
        100,
        ge=1,
        description="Test rows that the champion has not learned from; of fewer nothing is concluded.",
    )
