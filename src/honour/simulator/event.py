"""Events: what breaks or changes in a scenario, each for a stretch of days since its start."""

from __future__ import annotations

from typing import Annotated

import msgspec

from honour.records.payment import Network

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Day = Annotated[float, msgspec.Meta(ge=0)]
Factor = Annotated[float, msgspec.Meta(gt=0)]


class Stretch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days since the start of the scenario from which and up to which something holds."""

    from_day: Day
    to_day: Day = 1e9

    def holds(self, day: float) -> bool:
        """Whether it holds at `day`."""
        return self.from_day <= day < self.to_day


class Outage(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="outage", tag_field="kind"):
    """`share` of the attempts on a route never reach the issuer; of one network or one issuer only, if named."""

    route: str
    share: Share = 1.0
    network: Network | None = None
    issuer: str | None = None


class Degradation(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="degradation", tag_field="kind"):
    """A growing share of what a route carries is declined as 05: from nothing up to `share`; `recovers` shrinks it again."""

    route: str
    share: Share
    recovers: bool = False

    def share_at(self, day: float) -> float:
        """Share of attempts that this stops at `day`."""
        if not self.holds(day):
            return 0.0
        done = (day - self.from_day) / (self.to_day - self.from_day)
        return self.share * (1.0 - abs(2.0 * done - 1.0) if self.recovers else done)


class IssuerDown(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="issuer_down", tag_field="kind"):
    """An issuer does not answer `share` of what reaches it; networks stand in for some of it."""

    issuer: str
    share: Share = 1.0


class NewRoute(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="new_route", tag_field="kind"):
    """A route is opened at `from_day`; it is not there before."""

    route: str


class BinMigration(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bin_migration", tag_field="kind"):
    """An issuer moves `share` of its cards to other ranges: the same cards with other leading digits."""

    issuer: str
    share: Share = 1.0


class ScaEnforcement(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sca_enforcement", tag_field="kind"):
    """Before `from_day` European issuers ask for authentication only `before` times as often as afterwards."""

    before: Share = 0.1


class Peak(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="peak", tag_field="kind"):
    """`factor` times the payments, and issuers that miss `strain` of their answers."""

    factor: Factor
    strain: Share = 0.01


class CardTesting(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="card_testing", tag_field="kind"):
    """Thieves try stolen cards with small amounts at a merchant: `factor` attempts for each ordinary payment there.

    suspicion  logit that issuers add to refusals of everything at this merchant meanwhile
    """

    merchant: str
    factor: Factor
    suspicion: float = 1.0


class RenamedCodes(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="renamed_codes", tag_field="kind"):
    """A route's acquirer sends response codes of its own."""

    route: str


class FeeChange(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fee_change", tag_field="kind"):
    """All fees of a route are `factor` times what they were."""

    route: str
    factor: Annotated[float, msgspec.Meta(ge=0)]


class Reporting(Stretch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="reporting", tag_field="kind"):
    """Answers reach the merchant's systems late (`delay_s` on average, exponential, so in another order), twice, or never."""

    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    duplicated: Share = 0.0
    lost: Share = 0.0


Event = (
    Outage | Degradation | IssuerDown | NewRoute | BinMigration | ScaEnforcement | Peak | CardTesting | RenamedCodes | FeeChange | Reporting
)
