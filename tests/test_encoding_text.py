"""Text: the directions that train teaches, the same for any number of threads, for one text or many."""

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from etude.encoding import text as encode_text
from etude.encoding.text import fit_text

OFFERS = ["win", "free", "prize", "claim", "now", "cash", "urgent", "call"]
NOTHING = "no word or piece of a word that two train rows have tells its texts apart"
TALK = ["see", "you", "at", "home", "dinner", "ok", "love", "later"]


def column(values):
    return pa.chunked_array([pa.array(values, pa.string())])


def messages(rows=400, seed=0):
    """Offers and talk in turns, in words of their own and some common ones."""
    draw = np.random.default_rng(seed)
    return [
        " ".join([*draw.choice([OFFERS, TALK][row % 2], 4), *draw.choice(["the", "a", "to"], 3)])
        for row in range(rows)
    ]


def numbered(rows, words):
    """Texts of words that are numbers under 2000."""
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(2000, words).astype(str)) for _ in range(rows)]


def test_what_two_kinds_of_text_differ_in_is_seen_by_a_line():
    encoder = fit_text(column(messages()), "note", 0)
    train, test = encoder.numbers(column(messages())), encoder.numbers(column(messages(seed=1)))
    weights = np.linalg.lstsq(train, np.arange(400) % 2 - 0.5, rcond=None)[0]
    assert ((test @ weights > 0) == (np.arange(400) % 2)).mean() > 0.99


def test_there_is_a_direction_for_each_30_train_rows_and_64_at_most():
    assert fit_text(column(messages(150)), "note", 0).number_names == (
        "note[svd 1]",
        "note[svd 2]",
        "note[svd 3]",
        "note[svd 4]",
        "note[svd 5]",
    )
    many = numbered(2500, words=6)
    assert len(fit_text(column(many), "note", 0).number_names) == 64
    assert len(fit_text(column(many[:500]), "note", 0, alone=True).number_names) == 50


def test_a_text_has_the_same_bits_alone_and_among_others():
    texts = [*messages(), None, "", "unheard of", "WIN win Win!!", "x" * 100_000]
    encoder = fit_text(column([*messages(), None, None, None]), "note", 0)
    whole = encoder.numbers(column(texts))
    alone = np.concatenate([encoder.numbers(column([text])) for text in texts])
    assert whole.tobytes() == alone.tobytes()
    assert np.isfinite(whole).all()


def test_case_does_not_matter():
    encoder = fit_text(column(messages()), "note", 0)
    lower, upper = encoder.numbers(column(["win the prize", "WIN the Prize"]))
    assert (lower == upper).all()
    assert lower.any()


def test_missing_and_empty_texts_have_zeros_and_only_missing_is_marked():
    encoder = fit_text(column([*messages(), None, None, None]), "note", 0)
    assert encoder.number_names[-1] == "note is missing"
    numbers = encoder.numbers(column([None, ""]))
    assert (numbers[:, :-1] == 0).all()
    assert numbers[:, -1].tolist() == [1, 0]
    assert encoder.counts(column([None, "a"])) == {"missing": 1}


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([None, None], "all missing in train"),
        (["the same"] * 4, "constant in train"),
        (["ab", "cd", "ef"], NOTHING),
        (["", " ", "  "], NOTHING),
        (["red", "red", "Red"], NOTHING),
    ],
)
def test_texts_that_say_nothing_are_left_out(texts, reason):
    assert fit_text(column(texts), "note", 0) == reason


def test_texts_without_a_common_word_are_told_from_missing_ones():
    encoder = fit_text(column(["ab", "cd", "ef", None, None, None]), "note", 0)
    assert encoder.number_names == ("note is missing",)
    assert encoder.numbers(column(["ab", None, "new"])).tolist() == [[0], [1], [0]]


def test_three_texts_are_enough():
    encoder = fit_text(column(["red fox", "red hen", "hen fox"]), "note", 0)
    numbers = encoder.numbers(column(["red", "hen fox", "den", "red fox"]))
    assert np.isfinite(numbers).all()
    assert np.abs(numbers).max() <= 10


def test_the_directions_do_not_depend_on_the_number_of_threads():
    texts = column(numbered(1000, words=12))
    found = set()
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.add(fit_text(texts, "note", 0).components.tobytes())
    assert len(found) == 1


def test_another_seed_draws_other_directions():
    first, second = (fit_text(column(messages(3000)), "note", seed).components for seed in (0, 1))
    assert first.tobytes() != second.tobytes()


def test_of_very_much_text_a_part_stands_for_all(monkeypatch):
    texts = messages(2000)
    whole = fit_text(column(texts), "note", 0)
    monkeypatch.setattr(encode_text, "FIT_CHARACTERS", 5_000)
    part, again, other = (fit_text(column(texts), "note", seed) for seed in (0, 0, 1))
    assert len(part.terms) < len(whole.terms)
    assert part.terms == again.terms
    assert part.terms != other.terms
