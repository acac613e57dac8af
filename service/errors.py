"""Everything that can go wrong, as one tree.

    TrdError
    ├── InputError            the caller's record or request cannot be used        exit 3
    │   ├── NotJson           not JSON, or not a JSON object
    │   ├── NotFhir           JSON, but not the resource expected here
    │   └── NotAssessable     readable, but not one patient's complete record
    ├── ServerError           the FHIR server failed us                            exit 4
    │   ├── ServerUnreachable no answer, or none in time
    │   ├── ServerRefused     an answer with an error status
    │   ├── NotAuthorized     no token: the token server or the token file does not give one
    │   ├── ServerMisread     an answer that is not what FHIR promises
    │   └── ServerUnsupported it speaks a release of FHIR that this service does not
    ├── QueueError            the queue's database failed; nothing was accepted     exit 4
    └── SetupError            the service itself is not set up right               exit 2
        ├── SettingsError     a setting is unknown or has a bad value
        └── MappingsError     a list under `mappings/` is faulty

Messages name the element, request or line. They never carry content of a record.
"""

from typing import ClassVar


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


class NotAssessable(InputError):
    """The record is readable, but it is not one living patient's own and complete record."""


class ServerError(TrdError):
    """The FHIR server could not be read. The review can be tried again."""

    exit_code = 4


class ServerUnreachable(ServerError):
    """The FHIR server gave no answer, or none in time."""


class ServerRefused(ServerError):
    """The FHIR server answered with an error status."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the HTTP status beside the message."""
        super().__init__(message)
        self.status = status


class NotAuthorized(ServerError):
    """There is nothing to show the FHIR server: the token server refused, or the token file is unusable."""


class ServerMisread(ServerError):
    """The FHIR server's answer is not what FHIR promises."""


class ServerUnsupported(ServerError):
    """The FHIR server speaks a release of FHIR, or a dialect of it, that this service does not."""


class QueueError(TrdError):
    """The queue's database could not be reached. Nothing was accepted; the event can be sent again."""

    exit_code = 4


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
