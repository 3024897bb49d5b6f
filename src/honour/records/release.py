"""Releases: what is asked for and written to the log, and the settings `[registry]` and `[release]` of honour.toml."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.instant import Instant

ReleaseAction = Literal["shadow", "unshadow", "canary", "promote", "rollback"]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Tolerance = Annotated[float, msgspec.Meta(ge=0, le=1)]


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MLflow keeps runs and models.

    uri         of the tracking server and registry; absent, a SQLite file in the data folder. It may hold a password
    experiment  under which runs stand; model: name of the registered model
    """

    uri: str | None = None
    experiment: str = "honour"
    model: str = "honour-approval"


class ReleaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a release goes back by itself, and what a challenger in shadow may use.

    error_rate           how often one guardrail may be wrong in the whole life of one release, however often it is looked at
    watch_hours          a bundle that was promoted is watched this long
    approval_less_max    a canary's approval rate may surely be this much below that of the others
    approval_drop_max    after a promotion, this much below what it was before: then there is nobody to compare with at the same time
    calibration_gap_max  approvals may surely differ this much from what was predicted, as a share of answers
    fallback_more_max    share of decisions that the bundle did not score, more than without it
    shadow_per_s_max     decisions a second that a challenger in shadow is asked about, in each process; others are left out, and counted
    shadow_ms_max        a challenger that takes longer for one is ended, and begun again later
    shadow_bytes_max     memory of the process of a challenger
    slow_ms              a decision that takes longer is slow; slow_more_max share of slow ones, more than without it
    """

    error_rate: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.01
    watch_hours: Annotated[float, msgspec.Meta(ge=0)] = 24.0
    approval_less_max: Tolerance = 0.0
    approval_drop_max: Tolerance = 0.1
    calibration_gap_max: Tolerance = 0.1
    fallback_more_max: Tolerance = 0.02
    shadow_per_s_max: Annotated[int, msgspec.Meta(ge=1)] = 500
    shadow_ms_max: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    shadow_bytes_max: Annotated[int, msgspec.Meta(ge=134_217_728)] = 2_147_483_648
    slow_ms: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    slow_more_max: Tolerance = 0.05


class ReleaseChanged(msgspec.Struct, frozen=True, kw_only=True, tag="release", omit_defaults=True):
    """A bundle was given another part, from here on in the log and in every process that follows it.

    action  shadow: `bundle` says what it would do, and is not obeyed; unshadow ends that; canary: it decides for a `share` of the
            payments that begin from now on; promote: it decides for all; rollback: `bundle` decides no more, nor says anything
    by      who: a user of the operating system, or the check that did it by itself
    """

    action: ReleaseAction
    bundle: str
    by: str
    why: str
    at: Instant
    share: Share | None = None
