"""Routes, candidates and merchants: the ways out to the networks, what they cost, and what an approval is worth."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

from honour.records.payment import Country, Currency, Funding, Identifier, Network

Authentication = Literal["none", "three_ds", "exemption_tra", "exemption_low_value", "exemption_recurring", "exemption_corporate"]
CredentialForm = Literal["pan", "network_token", "updated_pan", "wallet"]
"""How the card is presented: its number as it is on file, a network token, that number as the networks' account updater gives it when
it is asked just before the attempt, or a wallet."""
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Hour = Annotated[int, msgspec.Meta(ge=0, le=23)]


class RouteCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one attempt on a route costs, in minor units of the payment's currency.

    attempt_minor   charged for every attempt, whatever the answer
    approval_minor  charged on approval, on top
    approval_bps    charged on approval, basis points of the amount
    decline_minor   charged when the attempt is not approved, on top
    three_ds_minor  charged for an attempt with 3-D Secure, whatever the answer, on top
    update_minor    charged for an attempt with an updated card number, whatever the answer, on top: the account updater is asked first
    cross_border_bps  charged on approval when the card was issued in another country than the route's, basis points of the amount
    """

    attempt_minor: NonNegative = 0.0
    approval_minor: NonNegative = 0.0
    approval_bps: NonNegative = 0.0
    decline_minor: NonNegative = 0.0
    three_ds_minor: NonNegative = 0.0
    update_minor: NonNegative = 0.0
    cross_border_bps: NonNegative = 0.0


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way out to the networks: acquirer and merchant account, with what it supports and charges.

    An empty tuple of networks, currencies, funding or merchants means: all of them.
    tra_fraud_bps  fraud rate that the acquirer vouches for when it claims the exemption for transaction risk analysis, basis points
    """

    id: Identifier
    acquirer: Identifier | None = None
    country: Country | None = None
    networks: tuple[Network, ...] = ()
    currencies: tuple[Currency, ...] = ()
    funding: tuple[Funding, ...] = ()
    merchants: tuple[Identifier, ...] = ()
    credentials: tuple[CredentialForm, ...] = ("pan",)
    authentications: tuple[Authentication, ...] = ("none",)
    installments_max: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    tra_fraud_bps: NonNegative | None = None
    cost: RouteCost = RouteCost()
    enabled: bool = True


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms of one merchant: what an approval is worth and how much learning may cost.

    margin_bps                 worth of an approval, basis points of the amount
    exploration_budget_minor   expected loss allowed per payment for learning; 0 means never explore
    uniform_share              share of payments that are explored evenly over all candidates, within that budget
    critical_from_minor        payments of this amount or more are never explored, minor units
    retry_horizon_days         a payment is given up this long after its first attempt
    retry_pause_hours          least hours between two attempts of a payment that the merchant started, after an issuer's refusal
    delay_cost_bps_per_day     what waiting costs, basis points of an approval's worth per day: shoppers churn
    retry_price_minor          added to the price of every planned retry, minor units: raises it until a budget of retries holds
    quiet_hours                local hours of the cardholder, from and until, in which the merchant starts nothing
    disputed_rules             reading of network rules on which documents contradict each other
    """

    country: Country | None = None
    mcc: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")] | None = None
    margin_bps: NonNegative = 1000.0
    exploration_budget_minor: NonNegative = 0.0
    uniform_share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.005
    critical_from_minor: NonNegative | None = None
    retry_horizon_days: Annotated[int, msgspec.Meta(ge=0, le=120)] = 14
    retry_pause_hours: NonNegative = 1.0
    delay_cost_bps_per_day: NonNegative = 100.0
    retry_price_minor: NonNegative = 0.0
    quiet_hours: tuple[Hour, Hour] | None = None
    disputed_rules: Literal["strict", "lenient"] = "strict"


class Candidate(NamedTuple):
    """Everything chosen about an attempt: route, authentication and credential form."""

    route: str
    authentication: Authentication
    credential: CredentialForm
