"""Settings of the registry: `[registry]` of honour.toml."""

from __future__ import annotations

import msgspec


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MLflow keeps runs and models.

    uri         of the tracking server and registry; absent, a SQLite file in the data folder. It may hold a password
    experiment  under which runs stand; model: name of the registered model
    """

    uri: str | None = None
    experiment: str = "honour"
    model: str = "honour-approval"
