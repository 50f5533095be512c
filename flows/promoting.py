"""What ``etude promote`` and ``etude rollback`` do and print."""

from __future__ import annotations

from typing import Any

from flows.terminal import console, safe


def promote_run(run_id: str, model: str | None, *, as_json: bool) -> dict[str, Any]:
    """The run's model becomes champion, whatever the gate said."""
    from tasks.promote import promote_by_hand
    from tasks.run_ids import whole_run_id

    version, before = promote_by_hand(whole_run_id(run_id), model)
    was = f", before it was version {before.version}" if before else ""
    say = console(json=as_json).print
    say(f"models:/{safe(version.model)}@champion is version {version.version}{was}", soft_wrap=True)
    return {"model": version.model, "version": version.version, "before": before.version if before else None}


def roll_back_model(model: str, *, as_json: bool) -> dict[str, Any]:
    """The champion of before is champion again."""
    from tasks.registry import roll_back

    was, now = roll_back(model)
    say = console(json=as_json).print
    say(
        f"models:/{safe(model)}@champion is version {now.version} again, it was {was.version}", soft_wrap=True
    )
    return {"model": model, "version": now.version, "before": was.version}
