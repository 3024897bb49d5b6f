"""Every error that Honour raises, on one page.

    HonourError
    ├── BadInput             the caller sent something that is not allowed (HTTP 422, exit 2)
    │   ├── CardNumberRefused    a card number was found; nothing of it is kept
    │   └── MappingBroken        an import mapping does not fit its file
    ├── KeyRefused           no API key, or one that is not known (HTTP 401)
    ├── NotPermitted         the API key may not do this, or not for this merchant (HTTP 403)
    ├── BadSettings          honour.toml or an environment variable is wrong (exit 2)
    ├── UnknownReference     an outcome or dispute names a decision that is not in the log (HTTP 404)
    ├── Contradiction        a report contradicts one that stands (HTTP 409)
    ├── LogContractBroken    logged data cannot be what it claims to be (exit 1)
    ├── BatchRefused         data are not what they are expected to be, and that is to refuse them (exit 1)
    ├── LakeBroken           a file of a lake is gone or not what its manifest says (exit 1)
    ├── CannotTrain          the data do not hold what a model needs (exit 1)
    ├── BundleRefused        a bundle is corrupt, foreign or no longer agrees with itself (exit 1)
    ├── RegistryUnavailable  the model registry does not answer or cannot keep what it is given (exit 3)
    ├── StreamUnavailable    no Kafka broker answers, or a topic refuses what it is given (exit 3)
    ├── ServiceAway          a client got no answer from the service in time (exit 3)
    ├── DeadlineOver         an answer was not ready, or not durable, when it was due (HTTP 503)
    ├── Overloaded           more comes in than can be done (HTTP 503)
    ├── RateExceeded         a key asks more often than it may (HTTP 429)
    ├── StateAway            the shared online state does not answer or is not that of the log; decisions go on (exit 3)
    └── LogUnavailable       the event log cannot keep what it is given (HTTP 503, exit 3)
        └── LogAway              a shared log is away and cannot be looked up; decisions and outcomes go on (HTTP 503, exit 3)

A refusal is not an error: a declined payment or an ineligible route is a normal answer with reasons.
Each class has a section in docs/errors.md under its anchor.
"""

from __future__ import annotations


class HonourError(Exception):
    """Anything Honour raises on purpose; the message says what, where, what was found and what to do."""

    anchor = "honour-error"
    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} docs/errors.md#{self.anchor}"


class BadInput(HonourError):
    """A value from a caller is not allowed; `path` names the field as a JSON path such as `$.payment.currency`."""

    anchor = "bad-input"
    exit_code = 2

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class CardNumberRefused(BadInput):
    """A 13 to 19 digit number that passes the Luhn check was found; its value is in no message and no log."""

    anchor = "card-number-refused"


class MappingBroken(BadInput):
    """An import mapping names a column, value or zone that does not exist in the file it is used on."""

    anchor = "mapping-broken"


class KeyRefused(HonourError):
    """A request carries no API key, or one that is not known; nothing of it was read."""

    anchor = "key-refused"
    exit_code = 2


class NotPermitted(HonourError):
    """The API key of a request may not do this, or not for this merchant."""

    anchor = "not-permitted"
    exit_code = 2


class BadSettings(HonourError):
    """A configuration file or environment variable holds a wrong key or value."""

    anchor = "bad-settings"
    exit_code = 2


class UnknownReference(HonourError):
    """A report names a decision or attempt that the log does not hold."""

    anchor = "unknown-reference"
    exit_code = 2


class Contradiction(HonourError):
    """A report contradicts one already accepted; the first stands."""

    anchor = "contradiction"
    exit_code = 2


class LogContractBroken(HonourError):
    """Logged data break a promise of the log, such as a propensity outside (0, 1]."""

    anchor = "log-contract-broken"


class BatchRefused(HonourError):
    """A batch breaks an expectation whose severity is `refuse`; nothing of the day that breaks it was taken in."""

    anchor = "batch-refused"


class LakeBroken(HonourError):
    """A lake cannot be read as it is: a file is gone, has other bytes than its manifest says, or is of another version."""

    anchor = "lake-broken"


class CannotTrain(HonourError):
    """The data do not hold what a model needs: too few rows, one class only, no later data."""

    anchor = "cannot-train"


class BundleRefused(HonourError):
    """A bundle fails its hash, its schema or its numeric parity check and is not used."""

    anchor = "bundle-refused"


class RegistryUnavailable(HonourError):
    """The model registry does not answer, or cannot keep or find what is asked of it; nothing in production was changed."""

    anchor = "registry-unavailable"
    exit_code = 3


class StreamUnavailable(HonourError):
    """No Kafka broker answers, or a topic refuses what it is given; positions are where they were."""

    anchor = "stream-unavailable"
    exit_code = 3


class ServiceAway(HonourError):
    """A client got no answer in time; sent again, the same request has the same effect."""

    anchor = "service-away"
    exit_code = 3


class DeadlineOver(HonourError):
    """An answer was not ready, or its event not durable, when it was due; sent again, the same request has the same effect."""

    anchor = "deadline-over"
    exit_code = 3


class Overloaded(HonourError):
    """More comes in than can be done, and this request would have waited too long; nothing of it was done."""

    anchor = "overloaded"
    exit_code = 3


class RateExceeded(HonourError):
    """An API key asks more often than it may; nothing of the request was read."""

    anchor = "rate-exceeded"
    exit_code = 3


class StateAway(HonourError):
    """The store of the shared online state does not answer in time, or does not stand where the log does."""

    anchor = "state-away"
    exit_code = 3


class LogUnavailable(HonourError):
    """The event log cannot make an event durable (disk full, file system read-only); nothing was accepted."""

    anchor = "log-unavailable"
    exit_code = 3


class LogAway(LogUnavailable):
    """The shared event log is away and this server stands in: what only the log knows cannot be said, all else goes on."""

    anchor = "log-away"
