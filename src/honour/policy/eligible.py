"""Which candidates may be attempted at all: law, contract and capability, before any preference.

Reasons in order of precedence; a candidate that is not eligible lists all that hold:

    network_rule                the network forbids another attempt of this card at this merchant
    just_declined               the same candidate of this payment was declined within the last day, and nothing has changed
    credential_stale            an answer said that the card's data are old, and this credential form sends the same again
    route_not_requested         the caller restricted the routes
    route_disabled              enabled = false
    merchant_not_supported      the merchant has no account on the route
    network_not_supported       the route does not take this card network
    currency_not_supported
    funding_not_supported       known and not taken; funding that is not known refuses nothing
    installments_not_supported  more than the route's installments_max
    credential_not_available    a network token or wallet that the card does not have
    shopper_absent              3-D Secure asks the shopper, and the merchant initiated this payment
    authentication_required     the issuer asked for the cardholder's authentication, and this candidate sends none
    exemption_not_allowed       the law does not let the acquirer claim this exemption for this amount, currency and initiator
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.networks.exemption import may_claim
from honour.networks.retry_limit import Allowed
from honour.networks.step_up import asks_for_authentication
from honour.policy.value import cost_of
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm, Route

DAY_US = 86_400_000_000
KINDS_MAX = 10_000
"""Kinds of payments whose candidates are remembered."""


class Considered(NamedTuple):
    """A candidate, the route it would take, and why it is not eligible (empty when it is)."""

    candidate: Candidate
    route: Route
    reasons: tuple[str, ...]

    @property
    def eligible(self) -> bool:
        """It may be attempted."""
        return not self.reasons


class Candidates(tuple[Considered, ...]):
    """Every candidate, in the order of the settings; payments alike in kind share one, with what follows from it."""

    @cached_property
    def eligible(self) -> tuple[Considered, ...]:
        """Those that may be attempted."""
        return tuple(one for one in self if one.eligible)

    @cached_property
    def attempts(self) -> tuple[Candidate, ...]:
        """What would be sent of those. Equal ones are the same object, by which is found what was worked out for them."""
        return _shared(tuple(one.candidate for one in self.eligible))

    def costs(self, payment: Payment) -> NDArray[np.float64]:
        """What an attempt of each eligible one costs: (n, 4), columns as in `kernel`. The card's country says what crosses a border."""
        key = payment.card.issuer_country if self._may_cross else None
        if (known := self._costs.get(key)) is None:
            costs = [cost_of(payment, candidate=one.candidate, route=one.route) for one in self.eligible]
            rows = [(cost.attempt_minor, cost.approval_minor, cost.approval_bps, cost.decline_minor) for cost in costs]
            known = self._costs[key] = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
        return known

    @cached_property
    def _may_cross(self) -> bool:
        return any(one.route.cost.cross_border_bps > 0.0 for one in self.eligible)

    @cached_property
    def _costs(self) -> dict[str | None, NDArray[np.float64]]:
        return {}


def consider(
    payment: Payment,
    *,
    routes: Sequence[Route],
    requested: Sequence[str] | None,
    allowed: Allowed,
    last_code: str | None = None,
    refused: bool = False,
) -> Candidates:
    """Every candidate of every route, in the order of the settings, with what speaks against it.

    Each route gives one candidate for each authentication it supports, with the best credential form it can send of those the
    card has: a network token before the card number. After a refusal every form that the card has is a candidate of its own, and for
    payments of the merchant's so is the number that the account updater gives, on routes that can ask it.

    last_code  response code of the payment's last answer
    refused    the payment was refused before
    """
    considered = []
    asked = asks_for_authentication(payment, last_code)
    for route in routes:
        against = tuple(_against_route(payment, route, requested=requested))
        forms = _forms(payment, route, refused=refused)
        for authentication, credential in product(route.authentications, forms or route.credentials[:1]):
            candidate = Candidate(route.id, authentication, credential)
            reasons = (*_against_again(candidate, allowed), *against, *(() if forms else ("credential_not_available",)))
            if authentication == "three_ds" and payment.initiator == "merchant":
                reasons = (*reasons, "shopper_absent")
            if not may_claim(authentication, payment=payment, tra_fraud_bps=route.tra_fraud_bps):
                reasons = (*reasons, "exemption_not_allowed")
            considered.append(Considered(candidate, route, reasons))
    return Candidates(_authenticating(payment, considered) if asked else considered)


class Eligibility:
    """`consider` for one list of routes: payments that differ in nothing it looks at share an answer."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._by_merchant = any(route.merchants for route in routes)
        claims = {(form, route.tra_fraud_bps) for route in routes for form in route.authentications if form.startswith("exemption")}
        self._claims = sorted(claims, key=repr)
        self._known: dict[tuple[object, ...], Candidates] = {}

    def of(
        self,
        payment: Payment,
        *,
        requested: Sequence[str] | None,
        allowed: Allowed,
        last_code: str | None = None,
        refused: bool = False,
    ) -> Candidates:
        """What `consider` says."""
        if requested is not None or refused or last_code is not None or allowed.blocked or allowed.never or allowed.declined:
            return consider(
                payment,
                routes=self.routes,
                requested=requested,
                allowed=allowed,
                last_code=last_code,
                refused=refused,
            )
        card = payment.card
        kind = (
            card.network,
            card.funding,
            card.network_token,
            payment.currency,
            payment.initiator,
            payment.installments,
            payment.merchant_id if self._by_merchant else None,
            *[may_claim(form, payment=payment, tra_fraud_bps=tra_fraud_bps) for form, tra_fraud_bps in self._claims],
        )
        if (known := self._known.get(kind)) is None:
            known = consider(payment, routes=self.routes, requested=None, allowed=allowed)
            if len(self._known) >= KINDS_MAX:
                self._known.clear()
            self._known[kind] = known
        return known


@lru_cache(maxsize=KINDS_MAX)
def _shared(attempts: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    return attempts


def _authenticating(payment: Payment, considered: Sequence[Considered]) -> tuple[Considered, ...]:
    """Candidates after a demand for authentication: those that give it, where any can; none for a payment that has no shopper."""
    possible = payment.initiator == "merchant" or any(one.eligible and one.candidate.authentication == "three_ds" for one in considered)
    return tuple(
        one._replace(reasons=(*one.reasons, "authentication_required")) if possible and one.candidate.authentication != "three_ds" else one
        for one in considered
    )


def _against_again(candidate: Candidate, allowed: Allowed) -> Iterator[str]:
    if allowed.forbids(candidate.credential):
        yield "network_rule"
    if candidate in allowed.declined:
        yield "just_declined"
    if candidate.credential in allowed.stale:
        yield "credential_stale"


def _against_route(payment: Payment, route: Route, *, requested: Sequence[str] | None) -> Iterator[str]:
    card = payment.card
    if requested is not None and route.id not in requested:
        yield "route_not_requested"
    if not route.enabled:
        yield "route_disabled"
    if route.merchants and payment.merchant_id not in route.merchants:
        yield "merchant_not_supported"
    if route.networks and card.network not in route.networks:
        yield "network_not_supported"
    if route.currencies and payment.currency not in route.currencies:
        yield "currency_not_supported"
    if route.funding and card.funding is not None and card.funding not in route.funding:
        yield "funding_not_supported"
    if payment.installments > route.installments_max:
        yield "installments_not_supported"


def _forms(payment: Payment, route: Route, *, refused: bool) -> tuple[CredentialForm, ...]:
    """The best form that the route sends and the card has; after a refusal all, with the account updater's for cards on file."""
    has: tuple[tuple[CredentialForm, bool], ...] = (
        ("network_token", payment.card.network_token),
        ("pan", True),
        ("updated_pan", refused and payment.initiator == "merchant"),
    )
    forms = tuple(form for form, is_there in has if is_there and form in route.credentials)
    return forms if refused else forms[:1]
