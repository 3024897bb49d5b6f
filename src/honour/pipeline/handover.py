"""From the registry to the servers: a bundle is put in the data folder, its part is written to the log, and aliases follow.

Servers follow the log (`serving.bundles`); the registry is told afterwards, and told again with the next command if it was away.
"""

from __future__ import annotations

import getpass
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from honour.errors import BadInput, RegistryUnavailable
from honour.loop import DataDir
from honour.outcomes.stages import Stages
from honour.outcomes.state import State
from honour.records.event import ShadowDecided
from honour.records.release import ReleaseAction, ReleaseChanged
from honour.records.settings import Settings
from honour.registry.tracking import Registry, Version
from honour.release.compare import Comparison, compare
from honour.release.guardrail import Guarded, guarded
from honour.release.store import BundleStore
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore

DEFAULT_SHARE = 0.05


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the registry, as status shows it."""

    version: int
    bundle: str
    aliases: tuple[str, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Which bundle has which part, and how the one that is watched does.

    changed       what a command wrote to the log; None when it only looked
    watched       bundle whose guardrails are shown: a canary, or one that was promoted lately
    registry_away why the registry could not be asked or told; None when it was
    """

    live: str | None
    before: str | None
    shadows: tuple[str, ...]
    canary: str | None
    share: float | None
    watched: str | None
    guardrails: tuple[Guarded, ...]
    versions: tuple[Known, ...]
    registry_away: str | None
    changed: ReleaseChanged | None = None


class Handover:
    """Releases of one data folder."""

    def __init__(self, data_dir: Path, *, settings: Settings) -> None:
        self._where, self._settings, self._store = DataDir(data_dir), settings, BundleStore(data_dir)

    def status(self) -> Status:
        """What the log says; aliases of the registry are brought in line with it."""
        if self._settings.data.log is None and not self._where.events.exists():
            return self._status(State(), changed=None)
        with self._where.log() as log:
            return self._status(restore(log, snapshots=self._where.snapshots), changed=None)

    def shadow(self, named: str | None, *, why: str) -> Status:
        """A bundle says what it would do from now on; without a name the challenger of the registry."""
        return self._change("shadow", named, why=why)

    def unshadow(self, named: str | None, *, why: str) -> Status:
        """A bundle, or the one that is in shadow, says nothing any more."""
        return self._change("unshadow", named, why=why)

    def canary(self, named: str | None, *, share: float, why: str) -> Status:
        """A bundle decides for a share of the payments; without a name the canary, else the one in shadow, else the challenger."""
        return self._change("canary", named, why=why, share=share)

    def promote(self, named: str | None, *, why: str) -> Status:
        """A bundle decides for all; without a name the canary, else the one in shadow, else the challenger."""
        return self._change("promote", named, why=why)

    def rollback(self, *, why: str) -> Status:
        """The canary decides no more; without one, the live bundle gives way to the one before it."""
        return self._change("rollback", None, why=why)

    def compare(self, named: str | None) -> Comparison:
        """What the log says of a bundle that is in shadow, or was; without a name the one that is."""
        with self._where.log() as log:
            events = list(log.read())
        said = {one.event.bundle for one in events if isinstance(one.event, ShadowDecided)}
        fitting = sorted(one for one in said if named is None or one.startswith(named))
        if named is None and len(fitting) > 1:
            state = State()
            for logged in events:
                state.stages.apply(logged)
            fitting = [one for one in fitting if one in state.stages.shadows]
        if len(fitting) != 1:
            told = ", ".join(one[:19] for one in sorted(said)) or "none"
            raise BadInput(f"{len(fitting)} bundles are meant; name one. In the log of shadow decisions are: {told}.", path="BUNDLE")
        return compare(events, bundle=fitting[0], settings=self._settings)

    def _change(self, action: ReleaseAction, named: str | None, *, why: str, share: float | None = None) -> Status:
        with self._where.log(read_only=False) as log:
            engine = Engine(self._settings, log=log, state=restore(log, snapshots=self._where.snapshots))
            with engine.turn():
                before = engine.state.stages.changes
            bundle = self._meant(action, named, stages=engine.state.stages)
            change = ReleaseChanged(action=action, bundle=bundle, by=getpass.getuser(), why=why, at=datetime.now(tz=UTC), share=share)
            durable = engine.take_release(change, unless_changed_since=before)
            if durable is None:
                raise BadInput("another release was made meanwhile. Look at `honour release status` and say again what is wanted.")
            durable.result()
            return self._status(engine.state, changed=change)

    def _meant(self, action: ReleaseAction, named: str | None, *, stages: Stages) -> str:
        """The bundle that is meant, in the data folder and sound; BadInput when there is none."""
        if action == "rollback":
            return _to_roll_back(stages)
        if action == "unshadow":
            return self._in_shadow(named, stages=stages)
        known = None if named is None else self._id_like(named)
        if named is None and action != "shadow":
            known = stages.canary.bundle if stages.canary is not None else next(iter(reversed(stages.shadows)), None)
        if known is not None:
            bundle_id = self._store.load(known).bundle_id
        elif named is not None:
            bundle_id = self._store.install(Path(named)).bundle_id
        else:
            bundle_id = self._challenger()
        if bundle_id == stages.live:
            raise BadInput(f"{bundle_id} is live already: there is nothing to {action}.", path="BUNDLE")
        if action == "shadow" and stages.canary is not None and bundle_id == stages.canary.bundle:
            raise BadInput(
                f"{bundle_id} is the canary and decides for a share of the payments. `honour release rollback` ends that.", path="BUNDLE"
            )
        if action == "canary" and (stages.live is None or (stages.canary is not None and stages.canary.bundle != bundle_id)):
            what = "there is no live bundle to compare with" if stages.live is None else "another bundle is the canary"
            raise BadInput(f"{what}. `honour release promote` a bundle, or `honour release rollback` the canary, first.", path="BUNDLE")
        return bundle_id

    def _id_like(self, named: str) -> str | None:
        """A bundle of the data folder by its bundle_id or the beginning of it."""
        found = [one for one in self._store.ids() if named.startswith("sha256:") and one.startswith(named)]
        if len(found) > 1:
            raise BadInput(f"{named} is the beginning of {len(found)} bundles. Give more of it.", path="BUNDLE")
        if named.startswith("sha256:") and not found:
            known = ", ".join(one[:19] for one in self._store.ids()) or "none"
            raise BadInput(f"no bundle {named} in the data folder. There are: {known}. Or name a folder.", path="BUNDLE")
        return found[0] if found else None

    def _in_shadow(self, named: str | None, *, stages: Stages) -> str:
        fitting = [one for one in stages.shadows if named is None or one.startswith(named)]
        if len(fitting) != 1:
            raise BadInput(f"{len(fitting)} of the {len(stages.shadows)} bundles in shadow are meant; name one.", path="BUNDLE")
        return fitting[0]

    def _challenger(self) -> str:
        registry = Registry(self._settings.registry, data_dir=self._where.path)
        version = registry.version("challenger")
        if version is None:
            raise BadInput(
                f"the registry {registry.where} has no challenger. `honour pipeline run` makes one; or name the folder of a bundle.",
                path="BUNDLE",
            )
        if version.bundle_id in self._store:
            return self._store.load(version.bundle_id).bundle_id
        with tempfile.TemporaryDirectory() as folder:
            registry.download(version, folder=Path(folder))
            return self._store.install(Path(folder) / "bundle").bundle_id

    def _status(self, state: State, *, changed: ReleaseChanged | None) -> Status:
        stages = state.stages
        watched = guarded(stages, limits=self._settings.release, now_us=int(datetime.now(tz=UTC).timestamp() * 1e6))
        versions, away = self._aligned(stages, changed=changed)
        if stages.live is not None and stages.live in self._store:
            self._store.link(stages.live)
        return Status(
            live=stages.live,
            before=stages.before,
            shadows=stages.shadows,
            canary=stages.canary.bundle if stages.canary is not None else None,
            share=stages.canary.steps[-1][1] if stages.canary is not None else None,
            watched=watched[0] if watched is not None else None,
            guardrails=watched[1] if watched is not None else (),
            versions=tuple(Known(version=one.number, bundle=one.bundle_id, aliases=one.aliases) for one in versions),
            registry_away=away,
            changed=changed,
        )

    def _aligned(self, stages: Stages, *, changed: ReleaseChanged | None) -> tuple[list[Version], str | None]:
        """The registry's versions, with champion and challenger as the log has them; or none, and why it was not told."""
        uri_or_file = self._settings.registry.uri or (self._where.path / "mlflow.db").exists()
        if not uri_or_file:
            return [], None
        try:
            registry = Registry(self._settings.registry, data_dir=self._where.path)
            versions = registry.versions()
            live = next((one for one in versions if one.bundle_id == stages.live), None)
            if live is not None and "champion" not in live.aliases:
                registry.name(live, alias="champion")
            over = {stages.live} | ({changed.bundle} if changed is not None and changed.action == "rollback" else set())
            if any("challenger" in one.aliases and one.bundle_id in over for one in versions):
                registry.unname("challenger")
            return registry.versions(), None
        except RegistryUnavailable as error:
            return [], error.message


def _to_roll_back(stages: Stages) -> str:
    if stages.canary is not None:
        return stages.canary.bundle
    if stages.live is None or stages.before is None:
        raise BadInput("there is no canary, and no bundle before the live one to go back to. `honour release promote BUNDLE` takes any.")
    return stages.live
