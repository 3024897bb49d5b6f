"""Acquirers: the routes out, what they carry and cost, and how well they work at an instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from honour.records.payment import Payment
from honour.records.route import Candidate, Route, RouteCost
from honour.simulator.draw import Draws, normal
from honour.simulator.issuer import EUROPE, Issuer

INCIDENT_US = 30 * 60 * 1_000_000
LIKING_SPREAD = 1.1
"""Spread of what issuers make of acquirers, in logit."""


@dataclass(frozen=True, slots=True)
class Acquirer:
    """How a route works behind what its settings say.

    route           what a merchant knows of it
    unreliable      share of attempts that never reach the issuer on an ordinary minute
    incident_rate   share of half hours in which a third of the attempts fail
    latency_ms      median time to an answer
    quality         logit added to refusals of every issuer: how well messages are filled in; negative is better
    """

    route: Route
    unreliable: float
    incident_rate: float
    latency_ms: float
    quality: float

    @property
    def country(self) -> str:
        """Where it acquires."""
        return self.route.country or ""

    def distance(self, issuer_country: str) -> float:
        """0 domestic, 0.25 within Europe, 1 across a border."""
        if self.country == issuer_country:
            return 0.0
        return 0.25 if self.country in EUROPE and issuer_country in EUROPE else 1.0


def _acquirer(
    name: str,
    country: str,
    *,
    carries: tuple[str, str],
    cost: tuple[float, float, float],
    works: tuple[float, float, float, float],
    token: bool,
    installments: int = 1,
) -> Acquirer:
    networks, currencies = carries
    attempt_minor, approval_bps, decline_minor = cost
    unreliable, incident_rate, latency_ms, quality = works
    route = Route(
        id=name,
        acquirer=name.removeprefix("acq_"),
        country=country,
        networks=tuple(networks.split()),  # type: ignore[arg-type]  # names of networks, written as one line
        currencies=tuple(currencies.split()),
        credentials=("pan", "network_token") if token else ("pan",),
        authentications=("none", "three_ds"),
        installments_max=installments,
        cost=RouteCost(attempt_minor=attempt_minor, approval_minor=5.0, approval_bps=approval_bps, decline_minor=decline_minor),
    )
    return Acquirer(route=route, unreliable=unreliable, incident_rate=incident_rate, latency_ms=latency_ms, quality=quality)


def make_acquirers() -> tuple[Acquirer, ...]:
    """The eight acquirers, the same in every world; how issuers like them differs from world to world."""
    return (
        _acquirer(
            "acq_br_1",
            "BR",
            carries=("visa mastercard elo amex", "BRL"),
            cost=(12, 215, 4),
            works=(0.003, 0.002, 900, -0.1),
            token=True,
            installments=12,
        ),
        _acquirer(
            "acq_br_2",
            "BR",
            carries=("visa mastercard elo", "BRL"),
            cost=(6, 175, 2),
            works=(0.009, 0.006, 1300, 0.2),
            token=False,
            installments=12,
        ),
        _acquirer(
            "acq_de_1", "DE", carries=("visa mastercard amex", "EUR GBP"), cost=(6, 95, 2), works=(0.003, 0.002, 650, 0.0), token=True
        ),
        _acquirer(
            "acq_fr_1",
            "FR",
            carries=("visa mastercard cartes_bancaires", "EUR"),
            cost=(4, 80, 2),
            works=(0.006, 0.004, 800, 0.1),
            token=False,
        ),
        _acquirer(
            "acq_gb_1", "GB", carries=("visa mastercard amex", "GBP EUR"), cost=(5, 90, 3), works=(0.004, 0.003, 600, 0.05), token=True
        ),
        _acquirer("acq_us_1", "US", carries=("visa mastercard amex", "USD"), cost=(8, 190, 3), works=(0.003, 0.002, 700, -0.1), token=True),
        _acquirer(
            "acq_us_2",
            "US",
            carries=("visa mastercard amex cartes_bancaires", "USD EUR GBP BRL"),
            cost=(5, 165, 2),
            works=(0.006, 0.004, 1000, 0.15),
            token=True,
        ),
        _acquirer("acq_us_3", "US", carries=("visa mastercard", "USD"), cost=(6, 150, 2), works=(0.007, 0.005, 900, 0.25), token=False),
    )


def candidates(payment: Payment, *, routes: tuple[Route, ...]) -> Iterator[Candidate]:
    """Every way of attempting `payment` that the routes say they carry, in the order of `routes`.

    A token needs a card that has one; authentication needs a shopper who is there.
    """
    for route in routes:
        if not carries(route, payment=payment):
            continue
        for authentication in route.authentications:
            if authentication != "none" and payment.initiator == "merchant":
                continue
            for credential in route.credentials:
                if credential != "network_token" or payment.card.network_token:
                    yield Candidate(route.id, authentication, credential)


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


def cost_minor(route: Route, *, amount_minor: int, approved: bool) -> float:
    """What one attempt costs once its answer is known, minor units of the payment."""
    cost = route.cost
    if approved:
        return cost.attempt_minor + cost.approval_minor + cost.approval_bps * amount_minor / 10_000
    return cost.attempt_minor + cost.decline_minor


class Liking:
    """What each issuer makes of each acquirer: a logit added to refusals, drawn once per world; positive is worse."""

    def __init__(self, seed: int, *, issuers: tuple[Issuer, ...], acquirers: tuple[Acquirer, ...]) -> None:
        draws = Draws(seed, purpose="liking")
        self._logits = {
            (issuer.id, acquirer.route.id): LIKING_SPREAD * normal(draws.of(f"{issuer.id}/{acquirer.route.id}")[0]) + acquirer.quality
            for issuer in issuers
            for acquirer in acquirers
        }

    def of(self, issuer: Issuer, acquirer: Acquirer) -> float:
        """Logit that `issuer` adds for attempts that come through `acquirer`."""
        return self._logits[issuer.id, acquirer.route.id]
