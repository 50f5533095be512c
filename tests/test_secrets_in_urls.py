"""Passwords reach a URL from the environment, and no message."""

from __future__ import annotations

import pytest

from etude.errors import ExperimentError
from etude.secrets_in_urls import check_no_password, resolved, without_secrets


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@db/x",
        "https://ann:hunter2@web/t.csv",
        "postgresql+asyncpg://a:hunter2${X}@db/x",
    ],
)
def test_a_password_in_the_experiment_is_refused_without_being_shown(url):
    with pytest.raises(ExperimentError) as caught:
        check_no_password(url)
    assert caught.value.code == "E136"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://ann:${DB}@db/x", "postgresql://ann@db/x", "sqlite:///a:b@c.db", "https://web/a@b:c"]
)
def test_a_reference_or_no_password_is_fine(url):
    check_no_password(url)


def test_a_reference_is_replaced_and_quoted(monkeypatch):
    monkeypatch.setenv("DB", "p@ss/word")
    assert resolved("postgresql://ann:${DB}@db/x") == "postgresql://ann:p%40ss%2Fword@db/x"
    message = "no entry for ann:p%40ss%2Fword (p@ss/word)"
    assert without_secrets(message, "postgresql://ann:${DB}@db/x") == "no entry for ann:*** (***)"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("DB", raising=False)
    with pytest.raises(ExperimentError, match=r"E136 .*found 'DB'; export DB=\.\.\."):
        resolved("postgresql://ann:${DB}@db/x")
