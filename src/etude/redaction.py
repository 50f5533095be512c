"""Lines that look like they hold a secret, withheld before a text is kept with a run."""

from __future__ import annotations

import re

WITHHELD = "(withheld: it looks like a secret)"
NAMED = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|authorization|dsn"
    r"|connection[_-]?string)\w*[\"']?\s*(:\s*\w+\s*)?[:=]\s*[\"']?[^\s\"']"
)
SHAPED = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}"
    r"|\bsk-[\w-]{20,}|\beyJ[\w-]{10,}\.[\w-]{10,}\."  # keys of clouds and services, JSON web tokens
    r"|(?i:\bbearer\s+[\w.~+/-]{12,})"
)
LONG = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")
PLAIN = re.compile(r"[0-9a-f]+|[a-z_]+|[A-Z_]+|[0-9]+|[\w./-]*[/.][\w./-]*")
"""Long words without being secrets: digests, names, paths."""


def without_secrets(text: str) -> str:
    """The text with every line withheld that names, or has the shape of, a password, a key or a token; what begins a
    line of a diff stays. A private key's whole block goes."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = inside or ("PRIVATE KEY-----" in line and "BEGIN" in line)
        kept.append(_withheld(line) if inside or looks_secret(line) else line)
        inside = inside and "END" not in line
    return "".join(kept)


def looks_secret(line: str) -> bool:
    """By its name, its shape, or a long word that mixes cases and digits."""
    if NAMED.search(line) or SHAPED.search(line):
        return True
    return any(_mixed(word[0]) for word in LONG.finditer(line) if not PLAIN.fullmatch(word[0]))


def _mixed(word: str) -> bool:
    kinds = (any(c.islower() for c in word), any(c.isupper() for c in word), any(c.isdigit() for c in word))
    return all(kinds)


def _withheld(line: str) -> str:
    sign = line[0] if line[:1] in ("+", "-", " ") else ""
    return f"{sign}{WITHHELD}{chr(10) if line.endswith(chr(10)) else ''}"
