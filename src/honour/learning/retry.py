"""Fitting the retry model on a training set: what followed refusals, and how attempts after a refusal went."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]  # scikit-learn ships no types
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # as above

from honour.approval.retry_model import (
    DAY_US,
    MONTHDAY,
    PRIOR,
    AdditiveLogit,
    Before,
    RetryModel,
    attempt_terms,
    form_terms,
    recovery_terms,
)
from honour.records.instant import from_us
from honour.records.payment import Card, Initiator, Payment
from honour.records.route import CredentialForm

FOLLOWED_DAYS: dict[Initiator, int] = {"customer": 1, "merchant": 7}
"""Days after a refusal within which an approval counts as its recovery; refusals with fewer days behind them are not asked."""
ROWS_MIN, TERM_ROWS_MIN = 200, 15
"""Rows that a part needs; rows that a term needs to have a weight of its own."""
PENALTIES = (0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the ridge penalty, from which five folds over payments choose."""
NOTHING: Mapping[str, float] = MappingProxyType({})
_COLUMNS = (
    "payment_id",
    "at_us",
    "approved",
    "authentication",
    "credential",
    "merchant_id",
    "amount_minor",
    "currency",
    "network",
    "funding",
    "issuer",
    "issuer_country",
    "initiator",
    "risk_score",
    "attempt_number",
    "payment_last_status",
    "payment_last_response_code",
    "payment_seconds_since_answer",
)

Terms = tuple[str, ...]
Floats = NDArray[np.float64]


class _Attempt(NamedTuple):
    """One row of the training set."""

    payment: Payment
    at_us: int
    authentication: str
    credential: CredentialForm
    approved: bool
    before: Before
    waited_h: float | None


class _Sample(NamedTuple):
    """Terms and answers; groups keep attempts of a payment on one side of a fold."""

    terms: list[Terms]
    y: list[bool]
    groups: list[str]


class _Known(NamedTuple):
    """What is fitted on, rows of the same terms as one: which terms they have (x), log-odds that are known before (offset), how many they
    are (n), and how many of them were approved (k).
    """

    x: sparse.csr_matrix
    offset: Floats
    n: Floats
    k: Floats

    def counting(self, place: NDArray[np.intp], y: Floats) -> _Known:
        """The same terms, of these rows alone; place: which terms each row has."""
        n, k = (np.bincount(place, weights=weight, minlength=len(self.n)) for weight in (None, y))
        return self._replace(n=n.astype(np.float64), k=k.astype(np.float64))


@threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]  # sums so small that threads wait for each other
def fit_retry_model(table: pa.Table) -> RetryModel:
    """The retry model of a training set; a part for which there are too few rows is None.

    table  as `honour.features.offline.training_set` gives it
    """
    attempts = list(_attempts(table))
    return RetryModel(recovery=_fit(_followed(attempts)), retry=_fit(_retried(attempts), prior=PRIOR))


def _attempts(table: pa.Table) -> Iterator[_Attempt]:
    columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in _COLUMNS}
    credential_of: dict[str, CredentialForm] = {}  # The newest attempt of each payment so far.
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for row in sorted(rows, key=lambda row: int(row["at_us"])):
        card = Card(
            card_id="c",
            bin="000000",
            network=row["network"],
            funding=row["funding"],
            issuer=row["issuer"],
            issuer_country=row["issuer_country"],
        )
        payment = Payment(
            payment_id=row["payment_id"],
            merchant_id=row["merchant_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            card=card,
            initiator=row["initiator"] or "customer",
            risk_score=row["risk_score"],
        )
        waited_s = row["payment_seconds_since_answer"]
        yield _Attempt(
            payment,
            row["at_us"],
            row["authentication"],
            row["credential"],
            bool(row["approved"]),
            Before(
                int(row["attempt_number"] or 1),
                row["payment_last_status"],
                row["payment_last_response_code"],
                credential_of.get(payment.payment_id),
            ),
            None if waited_s is None else waited_s / 3_600.0,
        )
        credential_of[payment.payment_id] = row["credential"]


def _followed(attempts: Sequence[_Attempt]) -> _Sample:
    """Refused attempts whose follow-up is over: was a later one approved in time?"""
    approved_us: dict[str, int] = {}
    for attempt in attempts:
        if attempt.approved:
            known = approved_us.get(attempt.payment.payment_id, attempt.at_us)
            approved_us[attempt.payment.payment_id] = min(known, attempt.at_us)
    end_us = max((attempt.at_us for attempt in attempts), default=0)
    sample = _Sample([], [], [])
    for attempt in attempts:
        payment, within_us = attempt.payment, FOLLOWED_DAYS.get(attempt.payment.initiator, 1) * DAY_US
        if attempt.approved or attempt.at_us + within_us > end_us:
            continue
        then_us = approved_us.get(payment.payment_id)
        terms = (*recovery_terms(payment, before=attempt.before), *form_terms(payment, attempt.authentication, before=attempt.before))
        _add(sample, terms, y=then_us is not None and attempt.at_us <= then_us <= attempt.at_us + within_us, group=payment.payment_id)
    return sample


def _retried(attempts: Sequence[_Attempt]) -> _Sample:
    """Attempts of merchants' own payments after a refusal: approved or not. A shopper's second try, moments later on another route, says
    nothing of them."""
    sample, months = _Sample([], [], []), []
    for attempt in attempts:
        payment, before = attempt.payment, attempt.before
        if before.number < 2 or attempt.waited_h is None or payment.initiator != "merchant":
            continue
        terms = attempt_terms(payment, before=before, credential=attempt.credential, at_us=attempt.at_us, waited_h=attempt.waited_h)
        _add(sample, terms, y=attempt.approved, group=payment.payment_id)
        months.append(from_us(attempt.at_us).month)
    return sample._replace(terms=_lasting(sample.terms, months=months))


def _lasting(rows: list[Terms], *, months: list[int]) -> list[Terms]:
    """Without days of the month that one month alone has shown: what came of them may be its luck."""
    seen: dict[str, set[int]] = {}
    for terms, month in zip(rows, months, strict=True):
        for term in terms:
            if term.startswith(MONTHDAY):
                seen.setdefault(term, set()).add(month)
    passing = {term for term, in_months in seen.items() if len(in_months) < 2}
    return [tuple(term for term in terms if term not in passing) for terms in rows]


def _add(sample: _Sample, terms: Terms, *, y: bool, group: str) -> None:
    sample.terms.append(terms)
    sample.y.append(y)
    sample.groups.append(group)


def _fit(sample: _Sample, *, prior: Mapping[str, float] = NOTHING) -> AdditiveLogit | None:
    """Ridge logistic regression towards `prior`, its strength chosen by log loss over payments it was not fitted on."""
    y = np.array(sample.y, dtype=np.float64)
    if len(y) < ROWS_MIN or min(y.sum(), len(y) - y.sum()) < TERM_ROWS_MIN:
        return None
    place_of: dict[Terms, int] = {}
    place = np.array([place_of.setdefault(terms, len(place_of)) for terms in sample.terms], dtype=np.intp)
    vocabulary = _vocabulary(list(place_of), n_rows=np.bincount(place).tolist())
    offset = np.array([math.fsum(prior.get(term, 0.0) for term in set(terms)) for terms in place_of])
    none = np.zeros(len(place_of))
    known = _Known(_matrix(list(place_of), vocabulary), offset, none, none)
    losses = _losses(known, place=place, y=y, groups=np.array(sample.groups))
    penalty = PENALTIES[int(np.argmin(losses))]
    intercept, *learned = _ridge(known.counting(place, y), penalty=penalty).tolist()
    weights = {**prior, **{term: prior.get(term, 0.0) + learned[at] for term, at in vocabulary.items()}}
    return AdditiveLogit(intercept=intercept, weights={term: round(weight, 6) for term, weight in sorted(weights.items())})


def _vocabulary(kinds: Sequence[Terms], *, n_rows: Sequence[int]) -> dict[str, int]:
    """A place for each term that enough rows have; n_rows: of each kind."""
    counts: Counter[str] = Counter()
    for terms, n in zip(kinds, n_rows, strict=True):
        for term in set(terms):
            counts[term] += n
    return {term: at for at, term in enumerate(sorted(term for term, n in counts.items() if n >= TERM_ROWS_MIN))}


def _losses(known: _Known, *, place: NDArray[np.intp], y: Floats, groups: NDArray[np.str_]) -> Floats:
    """Log loss over payments not fitted on, for each of PENALTIES; each fit goes on from the one before it."""
    total = np.zeros(len(PENALTIES))
    for fitted, held in GroupKFold(n_splits=5).split(place, y, groups):
        if len(np.unique(y[fitted])) < 2:
            return np.full(len(PENALTIES), np.inf)
        fits_on, judged_on = known.counting(place[fitted], y[fitted]), known.counting(place[held], y[held])
        w = None
        for at, penalty in enumerate(PENALTIES):
            w = _ridge(fits_on, penalty=penalty, start=w)
            z = known.offset + w[0] + known.x @ w[1:]
            total[at] += float(judged_on.n @ np.logaddexp(0.0, z) - judged_on.k @ z)
    return total


def _ridge(known: _Known, *, penalty: float, start: Floats | None = None) -> Floats:
    """Intercept and weights on top of the offset, (1 + n_terms,): least log loss with half the squared weights over `penalty` added."""
    x, offset, n, k = known
    back = x.T.tocsr()  # Rows are what a product runs over fast.

    def loss(w: Floats) -> tuple[float, Floats]:
        z = offset + w[0] + x @ w[1:]
        off = n * expit(z) - k
        slope = np.concatenate([[off.sum()], back @ off + w[1:] / penalty])
        return float(n @ np.logaddexp(0.0, z) - k @ z + 0.5 * (w[1:] @ w[1:]) / penalty), slope

    first = np.zeros(1 + x.shape[1]) if start is None else start
    found: Floats = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found


def _matrix(kinds: Sequence[Terms], vocabulary: dict[str, int]) -> sparse.csr_matrix:
    rows, columns = [], []
    for at, each in enumerate(kinds):
        for place in {vocabulary[term] for term in each if term in vocabulary}:
            rows.append(at)
            columns.append(place)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(kinds), len(vocabulary)))
