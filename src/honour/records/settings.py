"""Settings: everything honour.toml may say, with defaults. Loading and checking is `honour.cli.settings`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.api_key import ApiKey
from honour.records.attempt import Code
from honour.records.expectation import QualitySettings
from honour.records.gates import GateSettings
from honour.records.payment import Identifier
from honour.records.release import RegistrySettings, ReleaseSettings
from honour.records.retrain import RetrainSettings
from honour.records.route import Merchant, Route
from honour.records.training import TrainSettings

Positive = Annotated[float, msgspec.Meta(gt=0)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
DeadlineMs = Annotated[int, msgspec.Meta(ge=1, le=600_000)]


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the event log, snapshots, training sets and bundles live.

    log             address of a database that holds the event log, for servers on several machines; absent, it is a file in `dir`
    log_timeout_ms  without an answer for this long the database counts as away
    while_away      what the server that leads does while the database is away: decide into a journal in `dir`, or refuse like all others
    snapshot_every  events between two snapshots of the online state
    state           address of a Redis or Valkey that holds the features of cards and payments for several servers; absent, each holds all
    state_timeout_ms  without an answer for this long it counts as away
    entities_max    cards, payments or other entities that a table of features keeps in a process; those answered last stay
    """

    dir: str = "./honour-data"
    log: str | None = None
    log_timeout_ms: Annotated[int, msgspec.Meta(ge=50, le=60_000)] = 500
    while_away: Literal["decide", "refuse"] = "decide"
    snapshot_every: PositiveInt = 100_000
    state: str | None = None
    state_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 50
    entities_max: Annotated[int, msgspec.Meta(ge=10_000)] = 2_000_000


class FeatureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Features of this installation's own.

    files  Python files that declare them, relative to honour.toml; read when a process starts
    """

    files: tuple[str, ...] = ()


class ServingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP service: where it listens and what it accepts.

    body_bytes_max  largest body of one request; bulk_bytes_max the same for POST /v1/events
    deadline_ms     an answer is due this long after its request arrived, unless the request says otherwise
    queue_delay_ms  a decision may wait this long for its turn while others keep waiting; waiting_max is how many may
    keys            who may ask what; keys_required None asks for one where there are keys, and where others can reach the service
    tls_certificate  file with the certificate and its chain, PEM; tls_key with its private key
    tls_client_ca   file with the authorities whose certificates callers must show; absent, they need none
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    body_bytes_max: PositiveInt = 262_144
    bulk_bytes_max: PositiveInt = 67_108_864
    deadline_ms: DeadlineMs = 1_000
    queue_delay_ms: PositiveInt = 20
    waiting_max: PositiveInt = 1_000
    keys: tuple[ApiKey, ...] = ()
    keys_required: bool | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How candidates are chosen.

    salt            makes the exploration draws of this installation its own; keep it secret and constant
    fallback_order  route ids to try in order when no model can score; empty means the order of [[routes]]
    fast_layer      the trained model is corrected by the answers of the last minutes and days
    """

    salt: str = "honour"
    fast_layer: bool = True
    fallback_order: tuple[str, ...] = ()


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How merchants learn that a retry is due, beside asking for the list.

    webhook_url     http or https address that is told; absent, none is
    webhook_secret  key of the signature, at least 16 characters; keep it secret
    """

    webhook_url: str | None = None
    webhook_secret: str | None = None


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Kafka: the event log as a stream out, reports as a stream in.

    brokers        HOST:PORT with commas between
    events_topic   gets every event of the log; reports_topic brings reports, and refused_topic gets those that were refused
    group          consumer group that shares the reports
    server         address of the server that is told the reports, absent that of `serving` on this machine
    key            API key for it, with the scope `report`
    kafka          further properties of librdkafka, such as those of security
    """

    brokers: str | None = None
    events_topic: str = "honour.events"
    reports_topic: str = "honour.reports"
    refused_topic: str = "honour.reports.refused"
    group: str = "honour"
    server: str | None = None
    key: str | None = None
    kafka: dict[str, str] = {}


class MappedCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an acquirer's own code stands for."""

    response_code: Code
    merchant_advice_code: Code | None = None


class CodeMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Codes of one acquirer that are not the networks'.

    file   TOML file with a table `[codes]`, relative to honour.toml; `codes` given here come on top
    """

    acquirer: Identifier
    file: str | None = None
    codes: dict[str, MappedCode] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of honour.toml. A merchant that is not listed gets the terms of `default`, if there is one."""

    data: DataSettings = DataSettings()
    features: FeatureSettings = FeatureSettings()
    serving: ServingSettings = ServingSettings()
    policy: PolicySettings = PolicySettings()
    retries: RetrySettings = RetrySettings()
    stream: StreamSettings = StreamSettings()
    train: TrainSettings = TrainSettings()
    gates: GateSettings = GateSettings()
    retrain: RetrainSettings = RetrainSettings()
    quality: QualitySettings = QualitySettings()
    registry: RegistrySettings = RegistrySettings()
    release: ReleaseSettings = ReleaseSettings()
    merchants: dict[str, Merchant] = {}
    routes: tuple[Route, ...] = ()
    code_maps: tuple[CodeMap, ...] = ()

    def terms_of(self, merchant_id: str) -> Merchant:
        """Terms of `merchant_id`: its own, else those of `default`, else the defaults of `Merchant`."""
        return self.merchants.get(merchant_id) or self.merchants.get("default") or Merchant()
