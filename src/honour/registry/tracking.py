"""The registry of models: what was trained, from what, how good it was, and which version is champion or challenger.

MLflow does the keeping: a SQLite file and a folder in the data folder, or any server. Its client alone is used, never its global state.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from honour.approval.metric import Figure
from honour.errors import BundleRefused, RegistryUnavailable
from honour.records.release import RegistrySettings
from honour.release.bundle import Bundle, load_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

Alias = Literal["champion", "challenger"]

BUNDLE = "bundle"
"""Path of the bundle among the files of its run."""
_BUNDLE_ID = "honour.bundle_id"


class Entry(NamedTuple):
    """What is kept of one run.

    name     of the run; a second entry with the same name and bundle is the same version
    metrics  each with its interval, as NAME, NAME_low and NAME_high
    files    beside the bundle: pictures, model card, figures
    """

    name: str
    bundle: Path
    bundle_id: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, Figure]
    files: tuple[Path, ...]


class Version(NamedTuple):
    """A version of the registered model."""

    number: int
    bundle_id: str
    run_id: str
    aliases: tuple[str, ...]


class Registry:
    """MLflow at `settings.uri`, or in the data folder. Raises RegistryUnavailable when it does not answer."""

    def __init__(self, settings: RegistrySettings, *, data_dir: Path) -> None:
        self._settings = settings
        self._files = None if settings.uri else (data_dir.resolve() / "mlflow-files").as_uri()
        self.uri = settings.uri or f"sqlite:///{data_dir.resolve() / 'mlflow.db'}"
        if importlib.util.find_spec("mlflow") is None:
            raise RegistryUnavailable(f"registry {self.where}: MLflow is not installed here. Install honour[train].")
        data_dir.mkdir(parents=True, exist_ok=True)
        with self._asked("opening it"):
            self._client = _client(self.uri)

    def register(self, entry: Entry) -> Version:
        """Keep a run with its bundle as a new version of the model, and name it challenger.

        The same name and bundle again give the version that is there, so that a run which was cut off may be repeated.
        """
        with self._asked(f"registering {entry.name}"):
            version = self._find(entry) or self._create(entry)
            self._client.set_registered_model_alias(self._settings.model, "challenger", str(version.number))
            return version._replace(aliases=tuple(sorted({*version.aliases, "challenger"})))

    def version(self, alias: Alias) -> Version | None:
        """The version that has this name, or None."""
        with self._asked(f"asking for {alias}"):
            return next((one for one in self._versions() if alias in one.aliases), None)

    def versions(self) -> list[Version]:
        """Every version, the newest first."""
        with self._asked("listing versions"):
            return self._versions()

    def name(self, version: Version, *, alias: Alias) -> None:
        """Give `alias` to a version; whichever had it loses it."""
        with self._asked(f"naming version {version.number} {alias}"):
            self._client.set_registered_model_alias(self._settings.model, alias, str(version.number))

    def unname(self, alias: Alias) -> None:
        """Take `alias` from whichever version has it."""
        with self._asked(f"taking {alias} away"):
            self._client.delete_registered_model_alias(self._settings.model, alias)

    def download(self, version: Version, *, folder: Path) -> Bundle:
        """The version's bundle in `folder`/bundle, with every hash checked; BundleRefused when it is not what was registered."""
        with self._asked(f"fetching version {version.number}"):
            folder.mkdir(parents=True, exist_ok=True)
            self._client.download_artifacts(version.run_id, BUNDLE, str(folder))
        bundle = load_bundle(folder / BUNDLE)
        if bundle.bundle_id != version.bundle_id:
            raise BundleRefused(
                f"version {version.number} of {self._settings.model} in {self.where}: holds bundle {bundle.bundle_id}, registered was "
                f"{version.bundle_id}. Somebody exchanged it: train again, and find out who may write there."
            )
        return bundle

    @property
    def where(self) -> str:
        """The registry's address without what stands before an @: it may be a password."""
        return self.uri.rsplit("@", 1)[-1]

    def _find(self, entry: Entry) -> Version | None:
        return next((one for one in self._versions() if one.bundle_id == entry.bundle_id), None)

    def _create(self, entry: Entry) -> Version:
        from mlflow.entities import Metric, Param, RunTag

        client, now_ms = self._client, int(time.time() * 1000)
        run = client.create_run(self._experiment(), run_name=entry.name)
        run_id = run.info.run_id
        said = {f"{name}{end}": value for name, figure in entry.metrics.items() for end, value in _ends(figure)}
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, now_ms, 0) for name, value in said.items()],
            params=[Param(name, value[:500]) for name, value in entry.params.items()],
            tags=[RunTag(name, value) for name, value in {**entry.tags, _BUNDLE_ID: entry.bundle_id}.items()],
        )
        for file in entry.files:
            client.log_artifact(run_id, str(file))
        client.log_artifacts(run_id, str(entry.bundle), BUNDLE)
        client.set_terminated(run_id)
        if not self._has_model():
            client.create_registered_model(self._settings.model)
        made = client.create_model_version(
            self._settings.model, source=f"{run.info.artifact_uri}/{BUNDLE}", run_id=run_id, tags={_BUNDLE_ID: entry.bundle_id}
        )
        return _version(made)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._settings.experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._settings.experiment, artifact_location=self._files))

    def _has_model(self) -> bool:
        return bool(self._client.search_registered_models(filter_string=f"name='{self._settings.model}'"))

    def _versions(self) -> list[Version]:
        """The registry does not tell aliases with a search, so that they are taken from the model."""
        found = self._client.search_registered_models(filter_string=f"name='{self._settings.model}'")
        if not found:
            return []
        aliases: dict[int, list[str]] = {}
        for alias, number in found[0].aliases.items():
            aliases.setdefault(int(number), []).append(alias)
        versions = self._client.search_model_versions(f"name='{self._settings.model}'")
        known = [_version(one)._replace(aliases=tuple(sorted(aliases.get(int(one.version), [])))) for one in versions]
        return sorted(known, key=lambda one: -one.number)

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise RegistryUnavailable(
                f"registry {self.where}: {what} failed ({type(error).__name__}). "
                "Check registry.uri and that this process may read and write there; what was trained is kept, run it again."
            ) from error


def _client(uri: str) -> MlflowClient:
    # Read when MLflow is imported: nothing is told to anybody, and no progress bars on standard error.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _version(one: ModelVersion) -> Version:
    tags: dict[str, Any] = one.tags or {}
    return Version(
        number=int(one.version), bundle_id=str(tags.get(_BUNDLE_ID, "")), run_id=str(one.run_id), aliases=tuple(one.aliases or ())
    )


def _ends(figure: Figure) -> tuple[tuple[str, float], ...]:
    return ("", figure.value), ("_low", figure.low), ("_high", figure.high)
