"""Acquirers: the routes out, what they carry and charge, and how well they work at an ordinary instant."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from honour.records.payment import Currency, Network, Payment
from honour.records.route import Authentication, Candidate, CredentialForm, Route, RouteCost
from honour.simulator import table
from honour.simulator.draw import Draws, normal
from honour.simulator.issuer import Issuer
from honour.simulator.land import EUROPE, USD_PER_UNIT

INCIDENT_US = 30 * 60 * 1_000_000
LIKING_SPREAD = 1.1
"""Spread of what issuers make of acquirers, in logit."""
EUR_IN_USD = 1.08
LOW_VALUE_EUR = 30.0
"""RTS Article 16: remote payments up to this amount may go without authentication."""
TRA_EUR = ((1.0, 500.0), (6.0, 250.0), (13.0, 100.0))
"""RTS Article 18: highest amount for which an acquirer with a fraud rate up to so many basis points may claim the exemption."""


class Works(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a route works behind what its settings say; tables/acquirers.toml says what each value means."""

    unreliable: float
    incident_rate: float
    latency_ms: float
    quality: float
    candour: float


class Acquirer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One acquirer and the route to it."""

    id: str
    country: str
    networks: tuple[Network, ...]
    currencies: tuple[Currency, ...]
    cost: RouteCost
    works: Works
    token: bool = False
    installments_max: int = 1
    fraud_bps: float | None = None

    @property
    def route(self) -> Route:
        """What a merchant's settings say of it."""
        return Route(
            id=self.id,
            acquirer=self.id.removeprefix("acq_"),
            country=self.country,
            networks=self.networks,
            currencies=self.currencies,
            credentials=("pan", "network_token") if self.token else ("pan",),
            authentications=("none", "three_ds", *self._exemptions),
            installments_max=self.installments_max,
            tra_fraud_bps=self.fraud_bps,
            cost=self.cost,
        )

    @property
    def _exemptions(self) -> tuple[Authentication, ...]:
        if self.country not in EUROPE:
            return ()
        return ("exemption_low_value",) if self.fraud_bps is None else ("exemption_low_value", "exemption_tra")

    def may_claim(self, authentication: Authentication, *, amount_minor: int, currency: Currency) -> bool:
        """Whether the amount lies within what the exemption allows; True for anything that is not an exemption."""
        if not authentication.startswith("exemption"):
            return True
        eur = amount_minor / 100.0 * USD_PER_UNIT[currency] / EUR_IN_USD
        if authentication == "exemption_low_value":
            return eur <= LOW_VALUE_EUR
        return self.fraud_bps is not None and any(self.fraud_bps <= rate and eur <= most for rate, most in TRA_EUR)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    acquirers: tuple[Acquirer, ...]


def make_acquirers() -> tuple[Acquirer, ...]:
    """The acquirers, the same in every world; how issuers like them differs from world to world.

    >>> len(make_acquirers())
    12
    """
    return table.read("acquirers", as_type=_Table).acquirers


def candidates(payment: Payment, *, routes: tuple[Route, ...]) -> Iterator[Candidate]:
    """Every way of attempting `payment` that the routes say they carry, in the order of `routes`.

    A token needs a card that has one, the account updater a card on file; authentication and its exemptions need a shopper who is there.
    """
    for route in routes:
        if not carries(route, payment=payment):
            continue
        for authentication in route.authentications:
            if authentication != "none" and payment.initiator == "merchant":
                continue
            for credential in route.credentials:
                if has_form(payment, credential):
                    yield Candidate(route.id, authentication, credential)


def has_form(payment: Payment, credential: CredentialForm) -> bool:
    """Whether the card can be presented in this form: a token must be there, and only a number on file can be looked up."""
    if credential == "network_token":
        return payment.card.network_token
    return credential != "updated_pan" or payment.initiator == "merchant"


def carries(route: Route, *, payment: Payment) -> bool:
    """Whether a route takes the network, currency, funding, installments and merchant of `payment`. Empty lists take all."""
    card = payment.card
    return (
        route.enabled
        and (not route.networks or card.network in route.networks)
        and (not route.currencies or payment.currency in route.currencies)
        and (not route.funding or card.funding in route.funding)
        and (not route.merchants or payment.merchant_id in route.merchants)
        and payment.installments <= route.installments_max
    )


def cost_minor(
    route: Route, *, payment: Payment, authentication: Authentication, approved: bool, credential: CredentialForm = "pan"
) -> float:
    """What one attempt costs once its answer is known, minor units of the payment."""
    cost = route.cost
    sent = cost.attempt_minor + (cost.three_ds_minor if authentication == "three_ds" else 0.0)
    sent += cost.update_minor if credential == "updated_pan" else 0.0
    if not approved:
        return sent + cost.decline_minor
    bps = cost.approval_bps + (cost.cross_border_bps if payment.card.issuer_country != route.country else 0.0)
    return sent + cost.approval_minor + bps * payment.amount_minor / 10_000


class Liking:
    """What each issuer makes of each acquirer: a logit added to refusals, drawn once per world; positive is worse."""

    def __init__(self, seed: int, *, issuers: tuple[Issuer, ...], acquirers: tuple[Acquirer, ...]) -> None:
        draws = Draws(seed, purpose="liking")
        self._logits = {
            (issuer.id, acquirer.id): LIKING_SPREAD * normal(draws.of(f"{issuer.id}/{acquirer.id}")[0]) + acquirer.works.quality
            for issuer in issuers
            for acquirer in acquirers
        }

    def of(self, issuer: Issuer, acquirer: Acquirer) -> float:
        """Logit that `issuer` adds for attempts that come through `acquirer`."""
        return self._logits[issuer.id, acquirer.id]
