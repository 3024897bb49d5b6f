"""`honour release`: which bundle decides, for whom, and what another one would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from honour.cli import show
from honour.cli.service import config_of
from honour.cli.settings import load_settings

if TYPE_CHECKING:
    from honour.pipeline.handover import Handover, Known, Status

app = typer.Typer(no_args_is_help=True, help="Which bundle decides, for whom, and what another one would do. Running servers follow.")

_DATA = typer.Option(Path("honour-data"), "--data", help="Data folder of the servers.")
_CONFIG = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder.")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_WHY = typer.Option("", "--why", help="Written to the event log beside who did it, and when.")
_BUNDLE = typer.Argument(None, metavar="BUNDLE", help="Folder of a bundle, or the beginning of the bundle_id of one that was here before.")


@app.command()
def status(data: Path = _DATA, config: Path | None = _CONFIG, json: bool = _JSON) -> None:
    """Which bundle is live, in shadow and canary, how the guardrails of the one that is watched stand, and what the registry holds."""
    _show(_handover(data, config).status(), json=json)


@app.command()
def shadow(
    bundle: str | None = _BUNDLE,
    stop: bool = typer.Option(False, "--stop", help="End it: the bundle says nothing any more."),
    data: Path = _DATA,
    config: Path | None = _CONFIG,
    why: str = _WHY,
    json: bool = _JSON,
) -> None:
    """Let a bundle say of every decision what it would have done, without being obeyed. Without BUNDLE: the registry's challenger."""
    handover = _handover(data, config)
    _show(handover.unshadow(bundle, why=why) if stop else handover.shadow(bundle, why=why), json=json)


@app.command()
def canary(
    bundle: str | None = _BUNDLE,
    share: float = typer.Option(0.05, "--share", min=0.0001, max=1.0, help="Share of the payments that begin from now on."),
    data: Path = _DATA,
    config: Path | None = _CONFIG,
    why: str = _WHY,
    json: bool = _JSON,
) -> None:
    """Let a bundle decide for a share of the payments, with guardrails that take it back. Ask again with another --share to change it.

    Without BUNDLE: the canary, else the bundle in shadow, else the registry's challenger.
    """
    _show(_handover(data, config).canary(bundle, share=share, why=why), json=json)


@app.command()
def promote(bundle: str | None = _BUNDLE, data: Path = _DATA, config: Path | None = _CONFIG, why: str = _WHY, json: bool = _JSON) -> None:
    """Let a bundle decide for all; it is watched, and goes back by itself.

    Without BUNDLE: the canary, else the bundle in shadow, else the registry's challenger.
    """
    _show(_handover(data, config).promote(bundle, why=why), json=json)


@app.command()
def rollback(data: Path = _DATA, config: Path | None = _CONFIG, why: str = _WHY, json: bool = _JSON) -> None:
    """End the canary; without one, go back to the bundle that was live before."""
    _show(_handover(data, config).rollback(why=why), json=json)


@app.command("compare")
def compare_(
    bundle: str | None = typer.Argument(None, metavar="BUNDLE", help="Beginning of the bundle_id of one that is or was in shadow."),
    data: Path = _DATA,
    config: Path | None = _CONFIG,
    json: bool = _JSON,
) -> None:
    """A bundle in shadow against what was decided: agreement, log loss and calibration on what was answered, and value.

    Intervals are 95 %, clustered by payment. "cannot say" means that the log holds too little of what the bundle would have done.
    """
    told = _handover(data, config).compare(bundle)
    if json:
        show.as_json(told)
        return
    show.out(f"Bundle {told.bundle[:19]} in shadow of {told.n_decisions} decisions, {told.n_answered} of them attempts with an answer.\n")
    rows = [["would have done the same", show.figure(told.agreement), "", ""]]
    for name in ("log_loss", "calibration_error"):
        sides = [getattr(side, name) if side is not None else None for side in (told.decider, told.challenger)]
        gain = show.figure(told.log_loss_gain) if name == "log_loss" else ""
        rows.append([name.replace("_", " "), *(show.figure(side) for side in sides), gain])
    show.table("Probabilities", ["", "decided", "in shadow", "gain"], rows)
    values = [
        ["by the probabilities of the bundle that decided", show.figure(told.gain_by_decider, digits=2)],
        ["by its own", show.figure(told.gain_by_challenger, digits=2)],
        ["by what came back, doubly robust", show.estimate(told.gain, digits=2)],
    ]
    show.table("\nValue of its choices less that of those made, minor units per decision", ["", "gain"], values)
    if told.why_no_gain is not None:
        show.out(f"What came back cannot say: {told.why_no_gain}.")


def _handover(data: Path, config: Path | None) -> Handover:
    from honour.pipeline.handover import Handover  # MLflow, where it is asked; serving does without it.

    return Handover(data, settings=load_settings(config_of(config, data), data_dir=data))


def _show(status: Status, *, json: bool) -> None:
    if json:
        show.as_json(status)
        return
    if status.changed is not None:
        show.out(
            f"Done: {status.changed.action} {status.changed.bundle[:19]}. It is in the event log; running servers follow within seconds.\n"
        )
    parts = [("live", status.live), ("before", status.before), *(("shadow", one) for one in status.shadows)]
    if status.canary is not None and status.share is not None:
        parts.append((f"canary, {status.share:.2%} of new payments", status.canary))
    known = {one.bundle: one for one in status.versions}
    rows = [[part, (bundle or "none")[:19], _version(known, bundle)] for part, bundle in parts]
    show.table("Bundles", ["part", "bundle", "registry"], rows)
    if status.watched is not None:
        told = [[one.name, _number(one.value), _number(one.low), f"{one.limit:g}", str(one.n)] for one in status.guardrails]
        show.table(f"\nGuardrails of {status.watched[:19]}", ["worse in", "by", "surely by", "allowed", "payments"], told)
    if status.registry_away is not None:
        show.note(f"The registry was not told: {status.registry_away}")


def _version(known: Mapping[str, Known], bundle: str | None) -> str:
    found = known.get(bundle or "")
    return "" if found is None else f"version {found.version} {', '.join(found.aliases)}".strip()


def _number(value: float | None) -> str:
    return "cannot say" if value is None else f"{value:+.4f}"
