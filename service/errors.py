"""Everything that can go wrong, as one tree.

    TrdError
    ├── InputError            the caller's record or request cannot be used        exit 3
    │   ├── NotJson           not JSON, or not a JSON object
    │   ├── NotFhir           JSON, but not the resource expected here
    │   ├── NotCdsHooks       JSON, but not the request or the feedback of CDS Hooks
    │   ├── NotSupplied       the record that is asked about is neither brought along nor can it be read
    │   ├── NotHl7            not a message of HL7 version 2
    │   ├── NoSuchPatient     no patient of the FHIR server has the identifier
    │   ├── ForeignReference  a notification names a resource of another server
    │   ├── RosterFaulty      a roster, or lines of it, cannot be used
    │   └── NotAssessable     readable, but not one patient's complete record
    │       └── RecordTooLarge  more than is read of one patient
    ├── ServerError           the FHIR server failed us                            exit 4
    │   ├── ServerUnreachable no answer, or none in time
    │   │   └── NoServerThere what answers is no FHIR server
    │   ├── ServerRefused     an answer with an error status
    │   ├── NotRevoked        an error status for the revocation of a draft, which stays open
    │   ├── NotAuthorized     no token: the token server or the token file does not give one
    │   ├── ServerMisread     an answer that is not what FHIR promises
    │   │   └── TooManyPages  an answer that goes on for more pages than are read
    │   ├── PagesExpired      the server forgot the pages of a search before all were read
    │   ├── NotSwept          it cannot be searched for what changed
    │   └── ServerUnsupported it speaks a release of FHIR that this service does not
    ├── QueueError            the queue's database failed; nothing was accepted     exit 4
    ├── WorkerError           no worker process did the work; try it again          exit 1
    │   ├── WorkersBusy       too much waits for the worker processes
    │   └── WorkerLost        a worker process ended before its work was done
    ├── OutputError           what was asked for cannot be written                 exit 2
    └── SetupError            the service itself is not set up right               exit 2
        ├── SettingsError     a setting is unknown or has a bad value
        └── MappingsError     a list under `mappings/` is faulty

Messages name the element, request or line. They never carry content of a record.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar, Final

_AWAY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_PASSING: Final = _AWAY | {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.INSUFFICIENT_STORAGE,
}


class TrdError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(TrdError):
    """The record or request handed in cannot be used."""

    exit_code = 3


class NotJson(InputError):
    """The input is not JSON, or not a JSON object."""


class NotFhir(InputError):
    """The input is JSON, but not the FHIR resource expected here."""


class NotCdsHooks(InputError):
    """The input is JSON, but not the request or the feedback that CDS Hooks describes."""


class NotSupplied(InputError):
    """A caller of CDS Hooks did not bring along the whole record, and the rest cannot be read."""


class NotHl7(InputError):
    """The input is not a message of HL7 version 2."""


class NoSuchPatient(InputError):
    """No patient of the FHIR server has the identifier that was given.

    An engine may speak of a patient before the FHIR server has the record, so that a job asks again after
    `retry_after` seconds.
    """

    retry_after = 900.0


class RosterFaulty(InputError):
    """A roster of patients cannot be read, or not every line or member of it can be used."""


class ForeignReference(InputError):
    """A notification names a resource of another server than the configured one."""


class NotAssessable(InputError):
    """The record is readable, but it is not one living patient's own and complete record."""


class RecordTooLarge(NotAssessable):
    """The record has more bytes, references or merged patients than are read of one patient."""


class ServerError(TrdError):
    """The FHIR server could not be read.

    `passing` is whether the same request may be answered later, `away` whether the server is away or too
    busy for any request. `retry_after` is how many seconds it asks to be left alone, if it says so.
    """

    exit_code = 4
    passing = False
    away = False
    retry_after: float | None = None


class ServerUnreachable(ServerError):
    """The FHIR server gave no answer, or none in time. `fault` is the transport's name of what was wrong."""

    passing = True
    away = True

    def __init__(self, message: str, fault: str = "") -> None:
        """Keep the fault beside the message."""
        super().__init__(message)
        self.fault = fault


class NoServerThere(ServerUnreachable):
    """Something answers at the address, and it is no FHIR server: another one, or a proxy before it."""


class ServerRefused(ServerError):
    """The FHIR server answered with an error status.

    `issues` are the codes of FHIR and the error numbers of the vendor that it gave as reasons.
    """

    def __init__(
        self,
        message: str,
        status: int,
        retry_after: float | None = None,
        issues: tuple[str, ...] = (),
    ) -> None:
        """Keep the HTTP status and the reasons beside the message."""
        super().__init__(message)
        self.status = status
        self.issues = issues
        self.passing = status in _PASSING
        self.away = status in _AWAY
        self.retry_after = retry_after


class NotRevoked(ServerError):
    """The FHIR server refused the revocation of drafts of ours, which stay open."""

    def __init__(self, refused: Mapping[str, int]) -> None:
        """Keep the references of the plans, each of which comes with the status of the refusal."""
        names = ", ".join(f"{plan} ({status})" for plan, status in refused.items())
        super().__init__(f"{names}: the FHIR server refused the revocation; a clinician must end it")
        self.plans = tuple(refused)


class NotAuthorized(ServerError):
    """There is nothing to show the FHIR server: the token server refused, or the token file is unusable.

    No request fares better until somebody mends the credentials, so the work waits for that.
    """

    passing = True
    away = True


class ServerMisread(ServerError):
    """The FHIR server's answer is not what FHIR promises."""


class PagesExpired(ServerError):
    """The FHIR server no longer has the next page of a search. The search can be begun again."""

    passing = True


class TooManyPages(ServerMisread):
    """The answer to a search goes on for more pages than are read of one."""


class NotSwept(ServerError):
    """The FHIR server cannot be searched for what changed."""


class ServerUnsupported(ServerError):
    """The FHIR server speaks a release of FHIR, or a dialect of it, that this service does not."""


class QueueError(TrdError):
    """The queue's database could not be reached. Nothing was accepted; the event can be sent again."""

    exit_code = 4


class WorkerError(TrdError):
    """No worker process did the work. It can be tried again."""


class WorkersBusy(WorkerError):
    """Too much waits for the worker processes already."""


class WorkerLost(WorkerError):
    """A worker process ended before its work was done."""


class OutputError(TrdError):
    """A file or the output that was asked for cannot be written. The message names it and the reason."""

    exit_code = 2


class SetupError(TrdError):
    """The service is not set up right and refuses to start."""

    exit_code = 2


class SettingsError(SetupError):
    """A setting is unknown or has a bad value."""


class MappingsError(SetupError):
    """Lists under `mappings/` are faulty; `faults` names each file, line and reason."""

    def __init__(self, faults: list[str]) -> None:
        """Keep the faults one by one."""
        super().__init__("\n".join(faults))
        self.faults = faults
