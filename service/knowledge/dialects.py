"""Dialects: what the FHIR servers of a vendor need, and mean, beyond their CapabilityStatement.

Each is a file of `mappings/servers/`. The server's statement says which one it speaks, or a setting does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.knowledge.shapes import DialectFile, DocumentFile


@dataclass(frozen=True, slots=True)
class DeclaredSearch:
    """The searches that together show a kind of resource; `partial` where there may be more of it."""

    parameters: tuple[Mapping[str, str], ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Overload:
    """An answer that means that the server is overloaded, although its status does not say so."""

    status: int
    word: bytes


@dataclass(frozen=True, slots=True)
class DocumentTerms:
    """What a document must be like: the kinds of its author, any if none, and its `docStatus`.

    `new` is that of a document, `changed` that of a later version of it.
    """

    authors: frozenset[str] = frozenset()
    new: str = "preliminary"
    changed: str = "preliminary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the FHIR servers of one vendor differ from what their statement says.

    `withheld` and `incomplete` are error numbers of the vendor that say so of results, `expired` of the pages
    that are still to be read. `lacks` are the kinds that such servers do not show. `tells_changes`
    is whether it can be searched for what changed; `None` where its statement says so.
    """

    id: str
    software: frozenset[str] = frozenset()
    publishers: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    searches: Mapping[str, DeclaredSearch] = field(default_factory=dict)
    tells_changes: bool | None = None
    withheld: frozenset[str] = frozenset()
    incomplete: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()
    overloads: tuple[Overload, ...] = ()
    document: DocumentTerms = DocumentTerms()

    def is_spoken_by(self, software: str | None, publisher: str | None) -> bool:
        """Whether a server that says this of itself speaks the dialect."""
        return software in self.software or publisher in self.publishers


PLAIN = Dialect(id="plain")
"""The dialect of a server of which nothing more is known than its statement."""


@dataclass(frozen=True, slots=True)
class Dialects:
    """The dialects that are known, and the one that was chosen for the server, if one was."""

    known: tuple[Dialect, ...] = ()
    chosen: Dialect | None = None

    def of(self, software: str | None, publisher: str | None) -> Dialect:
        """The dialect of a server: the chosen one, else the one it is recognised by."""
        spoken = (one for one in self.known if one.is_spoken_by(software, publisher))
        return self.chosen or next(spoken, PLAIN)

    def tell_overload(self, status: int, body: bytes) -> bool:
        """Whether an answer asks to be left alone. A server may do so before it has said what it is."""
        return any(
            status == overload.status and overload.word in body
            for dialect in self.known
            for overload in dialect.overloads
        )


NO_DIALECTS = Dialects()


def to_dialect(file: DialectFile) -> Dialect:
    """The dialect that a file describes."""
    issues = file.issues
    return Dialect(
        id=file.id,
        software=frozenset(file.recognised.software),
        publishers=frozenset(file.recognised.publishers),
        lacks=frozenset(file.lacks.kinds),
        searches={one.kind: DeclaredSearch(tuple(one.parameters), one.partial) for one in file.search},
        tells_changes=file.changes.searched if file.changes else None,
        withheld=frozenset(issues.withheld if issues else ()),
        incomplete=frozenset(issues.incomplete if issues else ()),
        expired=frozenset(issues.expired if issues else ()),
        overloads=tuple(Overload(one.status, one.word.encode()) for one in file.overload),
        document=_to_terms(file.document),
    )


def _to_terms(file: DocumentFile | None) -> DocumentTerms:
    return DocumentTerms() if file is None else DocumentTerms(frozenset(file.authors), file.new, file.changed)


def find_doubled(files: Iterable[DialectFile]) -> Iterable[tuple[str, str]]:
    """The dialects that are recognised by what another one is recognised by, each with that name."""
    seen: set[str] = set()
    for file in files:
        for name in (*file.recognised.software, *file.recognised.publishers):
            if name in seen:
                yield file.id, name
            seen.add(name)
