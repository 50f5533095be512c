"""Train: the network learns from the training rows and is looked at on validation after every epoch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from etude.experiment import Network, Train
from etude.outcome import Outcome, Point, Record, put_files
from etude.steps.encode import Encodings
from etude.store import Ref, Store
from etude.verdicts import Verdict

if TYPE_CHECKING:
    import torch

    from etude.networks.auto import Choice
    from etude.training.checkpoint import Checkpoints
    from etude.training.fitting import Epoch, Fitted, Part

DECIDED = ("device", "minutes", "steps", "epochs")  # by the machine or the clock
OF_CODE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
OnEpoch = Callable[["Epoch", tuple[Point, ...]], None]


@dataclass(frozen=True)
class Trained:
    """The best epoch's weights (safetensors), the history of all epochs (JSON), and the weights' digest."""

    weights: Ref
    history: Ref
    best_epoch: int
    epochs: int
    stopped: str
    parameters: int
    digest: str
    settings: Train  # with a number where the clock or the machine decided
    outputs: int
    doctor: Verdict
    quantiles: tuple[float, ...] = ()  # of the outputs, in their order


def nothing(epoch: Epoch, points: tuple[Point, ...]) -> None:
    """Nobody listens."""


def unwarned(sentence: str) -> None:
    """Nobody is warned."""


def no_reason_to_stop() -> None:
    """Nobody interrupts."""


def train(
    store: Store,
    encodings: Encodings,
    network: Network,
    settings: Train,
    seed: int,
    on_epoch: OnEpoch = nothing,
    on_warning: Callable[[str], None] = unwarned,
    checkpoints: Checkpoints | None = None,
    after_step: Callable[[], None] = no_reason_to_stop,
) -> Outcome[Trained]:
    """The weights of the epoch with the lowest validation loss. Raises DivergedError E113, DataError E117, E120.

    With ``checkpoints`` it goes on from the last one. What ``after_step`` raises ends the training after a
    checkpoint of that very step. ``on_warning`` hears of overfitting once, while it happens, and at the end where the
    verdict on all epochs is another. Only epochs of this attempt are announced; the record has the points of all.
    """
    from etude.evaluation.doctor import diagnose
    from etude.evaluation.overfitting import Watch, judge
    from etude.networks.build import check_memory
    from etude.networks.own_source import refused
    from etude.report.figures import learning_curve
    from etude.training import fitting as training
    from etude.training import weights
    from etude.training.losses import median_first
    from etude.training.objective import outputs_of
    from etude.training.recipe import Recipe
    from etude.training.stopping import monitored
    from etude.training.team import Blueprint, gathered

    choice = chosen(encodings, network, settings)
    check_memory(choice.network, encodings.sizes)
    settings = choice.train
    encodings = replace(encodings, outputs=outputs_of(settings, encodings.outputs))
    model = built(encodings, network, settings, seed)
    validation = part(store, encodings.validation)
    watch = Watch(len(validation.target), on_warning, lambda epoch: monitored(epoch, choice.train.monitor))

    def heard(epoch: Epoch) -> None:
        on_epoch(epoch, points_of(epoch, encodings.unit))
        watch.heard(epoch)

    try:
        with gathered(settings, Blueprint(choice.network, encodings.sizes, seed)) as team:
            fitted = training.fit(
                model,
                part(store, encodings.train),
                validation,
                task=encodings.task,
                outputs=encodings.outputs,
                settings=settings,
                seed=seed,
                recipe=Recipe(
                    settings.schedule, settings.warmup_epochs, settings.clip_norm, settings.average
                ),
                on_epoch=heard,
                checkpoints=checkpoints,
                after_step=after_step,
                while_measuring=after_step,
                team=team,
            )
    except training.TrainingDivergedError as error:
        raise error.named(_row_numbers(store, encodings), _columns(store, encodings)) from None
    except OF_CODE as error:
        if ":" not in network.kind:
            raise
        raise refused(
            network.kind, "the network must train on every batch", f"{type(error).__name__}: {error}"
        ) from error
    points = tuple(point for epoch in fitted.history for point in points_of(epoch, encodings.unit))
    trained = Trained(
        weights=store.put(weights.to_bytes(fitted.best)),
        history=store.put(json.dumps([asdict(epoch) for epoch in fitted.history]).encode()),
        best_epoch=fitted.best_epoch,
        epochs=len(fitted.history),
        stopped=fitted.stopped,
        parameters=sum(p.numel() for p in model.parameters()),
        digest=weights.digest(fitted.best),
        settings=_decided(settings, fitted),
        outputs=encodings.outputs,
        doctor=diagnose(
            fitted.history,
            fitted.vitals,
            stopped=fitted.stopped,
            learning_rate=settings.learning_rate,
            columns=_columns(store, encodings),
        ),
        quantiles=median_first(settings.quantiles) if settings.loss == "quantile" else (),
    )
    verdict = judge(fitted.history, fitted.best_epoch, len(validation.target), choice.network, choice.train)
    watch.ended(verdict)
    figure = learning_curve(
        fitted.history,
        best_epoch=fitted.best_epoch,
        onset=verdict.evidence.get("onset_epoch"),
        verdict=verdict.verdict,
    )
    return Outcome(trained, _record(store, trained, fitted, points, figure, choice), trained.digest)


def _row_numbers(store: Store, encodings: Encodings) -> Sequence[int]:
    """Where each train row stands in the cleaned table, counted from 0."""
    from safetensors.torch import load_file

    rows: list[int] = load_file(store.sound_file(encodings.train))["rows"].tolist()
    return rows


def _columns(store: Store, encodings: Encodings) -> tuple[str, ...]:
    """The encoded columns, numbers first."""
    from etude.encoding.encoder import Encoder

    encoder = Encoder.from_bytes(store.get(encodings.encoder))
    return (*encoder.number_names, *encoder.category_names)


def _decided(settings: Train, fitted: Fitted) -> Train:
    """The settings with which a rerun does the same steps, whatever its clock and its machine."""
    from etude.training.devices import device_name

    decided: dict[str, Any] = {"device": device_name(settings.device), "minutes": None}
    if fitted.stopped == "minutes":
        decided["steps"] = fitted.history[-1].step
    if fitted.planned_epochs:
        decided["epochs"] = fitted.planned_epochs
    return settings.model_copy(update=decided)


def chosen(encodings: Encodings, network: Network, settings: Train) -> Choice:
    """The network and the settings with which this experiment trains, no ``auto`` left in them."""
    from etude.networks import auto

    return auto.choose(network, settings, encodings.sizes, encodings.train_rows)


def built(encodings: Encodings, network: Network, settings: Train, seed: int) -> torch.nn.Module:
    """The untrained network for these encodings."""
    from etude.networks import build as networks

    return networks.build(chosen(encodings, network, settings).network, encodings.sizes, seed=seed)


def trained_network(
    store: Store, encodings: Encodings, trained: Trained, network: Network, settings: Train, seed: int
) -> torch.nn.Module:
    """The network with the best epoch's weights."""
    from etude.training import weights

    model = built(replace(encodings, outputs=trained.outputs), network, settings, seed)
    model.load_state_dict(weights.from_bytes(store.get(trained.weights)))
    return model


def part(store: Store, ref: Ref) -> Part:
    """A part's arrays as tensors over the stored file itself: they are in memory once."""
    from safetensors.torch import load_file

    from etude.training.fitting import Part

    arrays = load_file(store.sound_file(ref))
    return Part(arrays["numbers"], arrays["categories"], arrays["target"])


def points_of(epoch: Epoch, unit: float) -> tuple[Point, ...]:
    """The epoch as metric points, stamped with its end; undefined metrics are left out.

    Errors are in the target's ``unit``.
    """
    values: dict[str, float | None] = {
        "train/loss": epoch.train_loss,
        "validation/loss": epoch.validation_loss,
        "train/learning_rate": epoch.learning_rate,
        "train/gradient_norm": epoch.gradient_norm,
        "train/weight_norm": epoch.weight_norm,
        "train/epoch_seconds": epoch.seconds,
        "train/rows_per_second": epoch.rows_per_second,
        **{f"train/{name}": _in_unit(name, value, unit) for name, value in epoch.train.items()},
        **{f"validation/{name}": _in_unit(name, value, unit) for name, value in epoch.validation.items()},
    }
    return tuple(
        Point(name, float(v), epoch.epoch, epoch.timestamp) for name, v in values.items() if v is not None
    )


def _in_unit(name: str, value: float | None, unit: float) -> float | None:
    return value * unit if value is not None and name in ("rmse", "mae") else value


def _cut_short(trained: Trained) -> tuple[str, ...]:
    """The budget ended although fewer epochs were planned than it seemed to hold."""
    from etude.training.budget import FALLING

    if trained.stopped != "minutes" or trained.settings.schedule not in FALLING:
        return ()
    return (
        f"train.minutes ended in epoch {trained.epochs} of {trained.settings.epochs} over which "
        f"train.schedule {trained.settings.schedule} was to run: its learning rate did not come to its end",
    )


def _in_numbers(asked: Train, decided: Train) -> dict[str, str]:
    """What the clock or the machine decided: ``decided.train.steps`` and the like."""
    return {
        f"decided.train.{key}": str(getattr(decided, key))
        for key in DECIDED
        if getattr(decided, key) != getattr(asked, key)
    }


def _record(
    store: Store,
    trained: Trained,
    fitted: Fitted,
    points: tuple[Point, ...],
    figure: bytes,
    choice: Choice,
) -> Record:
    files: dict[str, Any] = {
        "train/learning_curve.png": figure,
        "train/doctor.json": json.dumps(
            {**trained.doctor.as_json(), "vitals": fitted.vitals.as_json()}, indent=1
        ).encode(),
        "train/history.json": store.get(trained.history),
        "train/weights.safetensors": store.get(trained.weights),
    }
    return Record(
        params={"train.parameters": str(trained.parameters), **_resolved(choice)}
        | _in_numbers(choice.train, trained.settings),
        metrics={"train/best_epoch": trained.best_epoch, "train/epochs": trained.epochs},
        tags={
            "weights.sha256": trained.digest,
            "initial_weights.sha256": fitted.initial_digest,
            "verdict.doctor": trained.doctor.verdict,
            "verdict.doctor.sentence": trained.doctor.sentence,
        }
        | ({"network.auto": choice.why} if choice.why else {}),
        points=points,
        warnings=_cut_short(trained),
        verdicts=(trained.doctor,),
        files=put_files(store, files),
        summary=(
            f"{trained.parameters:,} parameters, {trained.epochs} epochs ({trained.stopped}), "
            f"best epoch {trained.best_epoch}"
        ),
    )


def _resolved(choice: Choice) -> dict[str, str]:
    """What the run trained with, where its experiment says auto: ``resolved.train.epochs`` and the like."""
    if not choice.why:
        return {}
    values = {
        "network": choice.network.model_dump(mode="json"),
        "train": choice.train.model_dump(mode="json"),
    }
    return {
        f"resolved.{section}.{name}": value if isinstance(value, str) else json.dumps(value)
        for section, entries in values.items()
        for name, value in entries.items()
    }
