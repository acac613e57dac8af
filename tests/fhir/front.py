"""What a pretended server lets in, says that it lets in, and takes before it breaks down."""

from collections.abc import Iterable
from copy import deepcopy

from tests.support import Resource

_WRITES = {"POST", "PUT", "PATCH"}
_WRITE_CODES = {"create", "update", "patch", "delete"}
_TOGETHER_CODES = {"transaction", "batch"}


class Front:
    """The traits of a server as it is met from outside.

    Without `transactions` nothing may be sent to the base. `takes` are the kinds of resource that may be
    created and updated; all of them where it is `None`. Where `update_create` is `False`, the server gives
    every new resource its id; where it is `None`, it does not say.

    `taken` is every write that was taken, in order, as `PUT CarePlan/x`; a transaction is `POST`. After
    `crash_after` more writes, every request finds the connection cut, until it is `None` again; after
    `holds_after` more writes, every request over HTTP waits until it is `None` again. The answer to write
    number `loses_answer_to` from now on is lost, although it was taken.
    """

    def __init__(
        self,
        *,
        transactions: bool = True,
        takes: Iterable[str] | None = None,
        update_create: bool | None = None,
    ) -> None:
        self.transactions = transactions
        self.takes = None if takes is None else frozenset(takes)
        self.update_create = update_create
        self.taken: list[str] = []
        self.crash_after: int | None = None
        self.holds_after: int | None = None
        self.loses_answer_to: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it is out of reach."""
        return self.crash_after == 0

    @property
    def is_holding(self) -> bool:
        """Whether it lets every request wait."""
        return self.holds_after == 0

    def lets_in(self, method: str, path: str) -> bool:
        """Whether a request is allowed, whatever it holds."""
        kind = path.partition("/")[0]
        if method not in _WRITES or kind.startswith("$") or "/$" in path:
            return True
        return self._takes(kind) if kind else self.transactions

    def take(self, method: str, path: str) -> bool:
        """Count a write that was taken. Returns whether its answer arrives."""
        self.taken.append(f"{method} {path}".rstrip())
        if self.crash_after:
            self.crash_after -= 1
        if self.holds_after:
            self.holds_after -= 1
        if self.loses_answer_to is None:
            return True
        self.loses_answer_to -= 1
        if self.loses_answer_to:
            return True
        self.loses_answer_to = None
        return False

    def advertised(self, statement: Resource) -> Resource:
        """A CapabilityStatement that says no more than is let in."""
        statement = deepcopy(statement)
        for rest in statement["rest"]:
            if not self.transactions:
                _drop_interactions(rest, _TOGETHER_CODES)
            for resource in rest["resource"]:
                self._advertise(resource)
        return statement

    def _advertise(self, resource: Resource) -> None:
        if not self._takes(resource["type"]):
            _drop_interactions(resource, _WRITE_CODES)
        elif self.update_create is not None:
            resource["updateCreate"] = self.update_create

    def _takes(self, kind: str) -> bool:
        return self.takes is None or kind in self.takes


def _drop_interactions(offered: Resource, codes: set[str]) -> None:
    """Take interactions away; FHIR has no empty lists."""
    kept = [one for one in offered.pop("interaction", []) if one["code"] not in codes]
    if kept:
        offered["interaction"] = kept
