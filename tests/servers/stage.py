"""Behind the scenes of pretended servers: a door for records, and the hand on what is let in at the front."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from service.demo import sandbox
from tests.fhir.front import Front

Records = Mapping[str, object] | Iterable[Mapping[str, object]]


class Stage(NamedTuple):
    """A server that pretends: its front, and a door that takes every record."""

    front: Front
    load: Callable[[Records], None]


_STAGES: dict[str, Stage] = {}


@contextmanager
def staged(base: str, stage: Stage) -> Iterator[str]:
    """Have the address of a server lead to its stage while it runs."""
    _STAGES[base] = stage
    try:
        yield base
    finally:
        del _STAGES[base]


def front_at(base: str) -> Front:
    """The front of a pretended server, to have it crash or to see what it took."""
    return _STAGES[base].front


def load(base: str, bundle_or_resources: Records) -> None:
    """Put resources on a server under their own ids, by its stage door where it has one.

    Raises as `service.demo.sandbox.load` does.
    """
    if base in _STAGES:
        _STAGES[base].load(bundle_or_resources)
    else:
        sandbox.load(base, bundle_or_resources)
