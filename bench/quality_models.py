"""The other models of the quality bench at their defaults, each with the preparation that its kind needs.

Trees get numbers as they are and categories as codes that they are told of; linear and neural ones median-filled,
standardised numbers and one-hot categories. Dates and texts are the same numbers for all, from Etude's encoder.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bench.quality_sets import Prepared

MOST_CODES = 255  # that HistGradientBoosting takes as a category
SEED = 0
NEURAL = {"realmlp": "RealMLP_TD", "tabm": "TabM_D"}  # of pytabkit
CPU_LIMIT = 600  # seconds for one of them on one set


@dataclass(frozen=True, eq=False)
class Arrays:
    """``numbers`` with NaN where missing, ``categories`` as codes, ``target`` as codes or standardised values."""

    numbers: Any
    categories: Any
    target: Any


def answers(model: str, task: Prepared) -> tuple[Any, Any, str]:
    """Truth, answers (probabilities, or values) and nothing to note. Raises ``TimeoutError`` when a network of
    pytabkit takes more than ``CPU_LIMIT`` seconds of processor time.
    """
    known, asked = arrays(task)
    if model in NEURAL:
        with _limited(CPU_LIMIT):
            return asked.target, _pytabkit(model, task.task, known, asked), ""
    fit = _dense if model in ("linear", "sklearn_mlp") else _trees
    return asked.target, fit(model, task.task, known, asked), ""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def over(number: int, frame: Any) -> None:
        raise TimeoutError(f"more than {seconds:g} CPU seconds")

    signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def arrays(task: Prepared) -> tuple[Arrays, Arrays]:
    """The known and the asked rows, by an encoder that the known rows taught."""
    from etude.encoding import encoder as encoding

    encoder = encoding.fit(task.known, task.schema, task.data, task.task, SEED, task.features)

    def of(rows: pa.Table) -> Arrays:
        rows = rows.filter(encoder.target.knows(rows[task.table_set.target]))
        columns = [
            rows[c.name].cast(pa.float64()).to_numpy()[:, None]
            if c.kind in ("number", "pixels")
            else c.numbers(rows[c.name])
            for c in encoder.columns
            if c.kind != "category"
        ]
        numbers = np.concatenate([np.zeros((len(rows), 0)), *columns], axis=1)
        return Arrays(
            numbers, encoder.transform(rows).categories, encoder.target.encode(rows[task.table_set.target])
        )

    return of(task.known), of(task.asked)


def _dense(model: str, task: str, known: Arrays, asked: Arrays) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, categories = known.numbers.shape[1], known.categories.shape[1]
    filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    parts = ColumnTransformer(
        [
            ("numbers", filled, list(range(numbers))),
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore"),
                list(range(numbers, numbers + categories)),
            ),
        ],
        sparse_threshold=0,
    )
    if task == "regression":
        last = RidgeCV(np.logspace(-2, 3, 6)) if model == "linear" else MLPRegressor(random_state=SEED)
    else:
        last = LogisticRegression(max_iter=2000) if model == "linear" else MLPClassifier(random_state=SEED)
    fitted = make_pipeline(parts, last).fit(_together(known), known.target)
    return _answer(fitted, task, _together(asked))


def _trees(model: str, task: str, known: Arrays, asked: Arrays) -> Any:
    from sklearn import ensemble

    rows, places = _together(known), range(known.numbers.shape[1], _together(known).shape[1])
    if model == "histgb":
        coded = [place for place in places if rows[:, place].max() < MOST_CODES]
        kind = "HistGradientBoostingRegressor" if task == "regression" else "HistGradientBoostingClassifier"
        fitted = getattr(ensemble, kind)(categorical_features=coded or None, random_state=SEED)
        return _answer(fitted.fit(rows, known.target), task, _together(asked))
    if model == "lightgbm":
        import lightgbm

        kind = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
        fitted = kind(verbose=-1, n_jobs=1, random_state=SEED)
        fitted.fit(rows, known.target, categorical_feature=list(places) or "auto")
        return _answer(fitted, task, _together(asked))
    import xgboost

    kind = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    return _answer(kind(n_jobs=1, random_state=SEED).fit(rows, known.target), task, _together(asked))


def _pytabkit(model: str, task: str, known: Arrays, asked: Arrays) -> Any:
    import pandas as pd
    import pytabkit

    middle = np.nan_to_num(np.nanmedian(known.numbers, axis=0)) if known.numbers.size else np.zeros(0)

    def frame(rows: Arrays) -> Any:
        found = pd.DataFrame(np.where(np.isnan(rows.numbers), middle, rows.numbers)).add_prefix("n")
        for i, codes in enumerate(rows.categories.T):
            found[f"c{i}"] = pd.Series(codes.astype(str), dtype="category")
        return found

    kind = getattr(pytabkit, f"{NEURAL[model]}_{'Regressor' if task == 'regression' else 'Classifier'}")
    fitted = kind(random_state=SEED, device="cpu", n_threads=1).fit(frame(known), known.target)
    return _answer(fitted, task, frame(asked))


def _answer(fitted: Any, task: str, rows: Any) -> Any:
    return fitted.predict(rows) if task == "regression" else fitted.predict_proba(rows)


def _together(rows: Arrays) -> Any:
    return np.concatenate([rows.numbers, rows.categories], axis=1)
