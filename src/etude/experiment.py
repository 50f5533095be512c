"""The experiment: what the file describes, as frozen objects with a default for every key.

The same checks run for a file, for the command's ``--set`` and for Python; ``etude.experiment_file``
turns what they find into one line with file and line number.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from etude.gate import Gate
from etude.secrets_in_urls import check_no_password
from etude.train_section import BY_RULE, Section, Train, TrainKeys

__all__ = ["BY_RULE", "Section", "Train", "TrainKeys"]

FORMAT_VERSION = 1

Kind = Literal["number", "category", "boolean", "datetime", "text", "id", "pixels"]
Task = Literal["auto", "classification", "regression"]
SplitBy = Literal["random", "stratified", "group", "time", "column", "auto"]
Init = Literal["torch", "kaiming", "xavier", "orthogonal"]
Numbers = Literal["plain", "piecewise", "periodic"]
NETWORKS = ("auto", "mlp", "tabm", "resnet", "ft_transformer", "linear", "cnn")
OWN_NETWORK = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
NAME_PATTERN = re.compile(r"^[^/\\\x00-\x1f\x7f]{1,200}\Z")


OF_READING = {
    "source": "", "query": None, "sha256": None, "test": None, "expect": None,
    "delimiter": None, "quote": None, "encoding": None, "header": True,
}  # fmt: skip
"""Keys of ``data`` that the steps after collect do not look at, and what they say there."""
GAP_PATTERN = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|d|w|)\Z")


def _bare_number(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.17g}" if number else value


class Data(Section):
    source: str = Field(
        min_length=1, description="Table to learn from; a path is relative to the experiment file."
    )
    query: str | None = Field(None, description="SQL that gives the rows, when source is a database's URL.")
    sha256: str | None = Field(None, description="The source's bytes must have this digest.")
    test: str | None = Field(
        None,
        min_length=1,
        description="An official test table with the source's columns; the split then deals the source's rows to "
        "train and validation alone.",
    )
    target: str = Field(min_length=1, description="Column to predict.")
    labels: dict[str, str] = Field(
        {}, description='Other spellings of the target\'s labels: {">50K.": ">50K"}; for source and test.'
    )
    task: Task = Field("auto", description="auto: classes for labels and few whole numbers, else regression.")
    drop: tuple[str, ...] = Field((), description="Columns never used.")
    missing: tuple[str, ...] = Field((), description="More tokens that mean missing, in every column.")
    columns: dict[str, Kind] = Field({}, description="Kinds that overrule the inferred ones: {Age: number}.")
    delimiter: str | None = Field(None, description="Field separator of a text file; found when not given.")
    quote: str | None = Field(None, description="Quote character of a text file; found when not given.")
    encoding: str | None = Field(None, description="Encoding of a text file; utf-8 when not given.")
    header: bool = Field(True, description="false: the first row is data, columns are named column_1, ...")
    thousands: str | None = Field(None, description="Thousands separator inside numbers, such as ','.")
    decimal: str = Field(".", description="Decimal mark inside numbers.")
    date_format: str | None = Field(
        None, description="strptime format of ambiguous dates, such as '%d/%m/%Y'."
    )
    allow: tuple[str, ...] = Field((), description="Columns kept although they look like a leak.")
    expect: str | None = Field(
        None,
        description="Schema file that the table is checked against; a path relative to the experiment file.",
    )
    private: bool = Field(
        False, description="true: no cell's value reaches MLflow, Prefect, logs, reports or errors."
    )

    def of_table(self) -> Data:
        """What of this section concerns a table that is read: where it came from and how it was read is forgotten."""
        return self.model_copy(update=dict(OF_READING))

    @field_validator("source", "test")
    @classmethod
    def _holds_no_password(cls, source: str | None) -> str | None:
        check_no_password(source or "")
        return source

    @model_validator(mode="after")
    def _target_is_used(self) -> Self:
        if self.target in self.drop:
            raise ValueError(f"the target '{self.target}' must not be in data.drop")
        return self


class Clean(Section):
    impossible_dates: Literal["refuse", "missing"] = Field(
        "refuse", description="Days that no calendar has, such as 0000-00-00 or 2024-02-31, in a text column."
    )
    spellings: Literal["tidy", "keep"] = Field(
        "tidy",
        description="tidy: outer blanks and invisible characters do not tell levels and texts apart; keep: they do.",
    )
    missing_target: Literal["refuse", "drop"] = Field("refuse", description="Rows without a target.")
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="Rows equal in every used column; kept ones never straddle the split."
    )
    infinite: Literal["missing", "refuse"] = Field("missing", description="Infinite numbers in a feature.")


class Split(Section):
    by: SplitBy = Field(
        "auto",
        description="How rows are dealt to train, validation and test. auto: stratified, but classes too small "
        "for it are said instead of refused.",
    )
    column: str | None = Field(
        None, description="The group, time or part column that group, time, column need."
    )
    test: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the rows for the one test at the end; without a meaning where data.test is given.",
    )
    validation: float = Field(
        0.2, gt=0, lt=1, description="Share of the rows for the look after every epoch."
    )
    gap: Annotated[str, BeforeValidator(_bare_number)] | None = Field(
        None,
        description="With by: time, what must lie between the parts: 7d, 12h (s, min, h, d, w), or a number for a "
        "column of numbers; the rows in between are left out.",
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=100,
        description="Cross-validation on the train and validation rows in this many folds, for small tables.",
    )

    def without_folds(self) -> Split:
        """What of this section says how rows are dealt to the three parts."""
        return self.model_copy(update={"folds": None})

    @property
    def way(self) -> Literal["random", "stratified", "group", "time", "column"]:
        """``by`` with auto resolved."""
        return "stratified" if self.by == "auto" else self.by

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError(
                f"split.test + split.validation must be under 1 (train is the rest), "
                f"is {self.test + self.validation:g}"
            )
        needs = self.by in ("group", "time", "column")
        if needs and self.column is None:
            raise ValueError(f"split.by: {self.by} needs split.column, the name of the {self.by} column")
        if not needs and self.column is not None:
            raise ValueError(f"split.column goes with by: group, time or column, not with by: {self.by}")
        if self.gap is not None and not GAP_PATTERN.match(self.gap):
            raise ValueError(
                f"split.gap must be a duration such as 7d, 12h or 30min, or a number, is {self.gap!r}"
            )
        if self.gap is not None and self.by != "time":
            raise ValueError(f"split.gap goes with by: time, not with by: {self.by}")
        if self.folds is not None and self.by == "column":
            raise ValueError(
                "split.folds needs another way than by: column, which says one split and no folds"
            )
        return self


class Network(Section):
    kind: str = Field(
        "auto",
        description="auto, mlp, tabm, resnet, ft_transformer, linear, cnn (pixels), or module:function of your own.",
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] | None = Field(
        None,
        min_length=1,
        description="Units (cnn: channels) of each hidden layer; by docs/networks.md if not given.",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Share of hidden units left out at each step; 0.1 if not given."
    )
    numbers: Numbers | None = Field(
        None,
        description="plain, piecewise or periodic embeddings of numbers; plain if not given and kind is not auto.",
    )
    members: int | None = Field(
        None, ge=1, le=256, description="tabm: perceptrons in the ensemble; 16 if not given."
    )
    init: Init = Field("torch", description="First weights: torch, kaiming, xavier or orthogonal.")

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        if kind in NETWORKS or OWN_NETWORK.match(kind):
            return kind
        raise ValueError(
            f"network.kind must be one of {', '.join(NETWORKS)}, or package.module:function of your own, is {kind}"
        )

    @model_validator(mode="after")
    def _hidden_fits(self) -> Self:
        if self.kind in ("tabm", "resnet") and self.hidden and len(set(self.hidden)) > 1:
            raise ValueError(f"network.hidden must be of one width for {self.kind}, is {list(self.hidden)}")
        return self


class Evaluate(Section):
    calibrate: bool = Field(
        True,
        description="Probabilities by a temperature fitted on validation, where that betters them; no label moves.",
    )
    threshold: Literal["f1", "mcc", "balanced_accuracy"] | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Of two classes: the probability from which on the second (by name or number) is the answer; a "
        "number, or what it shall maximise on validation.",
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="Share of rows that a regression's prediction interval shall hold."
    )


def _bare_split(value: Any) -> Any:
    return {"by": value} if isinstance(value, str) else value


class Experiment(Section):
    """A training, described. Equal experiments on equal data give equal bits (see ``digest``)."""

    name: str = Field(description="MLflow experiment; letters, digits, spaces, no slash.")
    seed: int = Field(
        0, ge=0, lt=2**63, description="The one seed; every draw derives its generator from it."
    )
    data: Data
    clean: Clean = Clean()
    split: Annotated[Split, BeforeValidator(_bare_split)] = Split()
    network: Network = Network()
    train: TrainKeys = TrainKeys()
    evaluate: Evaluate = Evaluate()
    gate: Gate | None = None

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str) -> str:
        if not NAME_PATTERN.match(name) or name.strip() in ("", ".", ".."):
            raise ValueError("name must be 1-200 printable characters without a slash or a backslash")
        return name

    @model_validator(mode="after")
    def _target_is_asked_for_once(self) -> Self:
        if self.split.column == self.data.target:
            raise PydanticCustomError("E077", "split.column must not be the target: it would decide the part")
        return self

    @model_validator(mode="after")
    def _batch_size_is_plain_if_nobody_asked(self) -> Self:
        """A named kind has plain defaults, as a number: what is written ``auto`` asks for the rule."""
        written, train = self.train.model_fields_set, self.train.model_dump()
        # Runs recorded before there were processes wrote auto for what nobody had asked.
        recorded = len(written) == len(Train.model_fields) - 1 and "processes" not in written
        open_ = train["batch_size"] == "auto" and (recorded or "batch_size" not in written)
        if open_ and self.network.kind != "auto":
            plain = {"batch_size": Train.model_fields["batch_size"].default}
            self.__dict__["train"] = self.train.model_copy(update=plain)
        return self

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, plain JSON types, in the order of the file."""
        return self.model_dump(mode="json")

    def flattened(self) -> dict[str, str]:
        """``train.batch_size`` -> ``"32"``: how MLflow sees the experiment."""
        flat: dict[str, str] = {}
        for key, value in self.resolved().items():
            entries = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
            flat |= {
                k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in entries.items()
            }
        return flat

    def digest(self) -> str:
        """sha256 over the resolved experiment."""
        return digest_of(self.resolved())


def digest_of(value: Any) -> str:
    """sha256 of a JSON value in its one canonical spelling (sorted keys, no spaces); NaN is refused."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a digest needs finite numbers")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
