"""The dosing protocols as FHIR: a PlanDefinition each, and ActivityDefinitions for what is done in it.

https://hl7.org/fhir/R4/plandefinition.html. Its address and version are what the CarePlans
made from it name in `instantiatesCanonical`. There is no goal: a goal is the patient's and the clinician's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.core.catalogue import ProtocolSources
from service.core.knowledge import CareSetting, DecisionPoint, Knowledge, Phase, Protocol
from service.publish.canonical import Edition, Resource, canonical_of, define, licences_of, uris_of

_UCUM = "http://unitsofmeasure.org"
_USAGE = "http://terminology.hl7.org/CodeSystem/usage-context-type"
_PLAN_TYPE = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
_JURISDICTIONS: dict[str, Resource] = {
    "us": {"coding": [{"system": "urn:iso:std:iso:3166", "code": "US"}], "text": "United States"},
    "eu": {"text": "European Union"},
}
_SETTINGS = {
    CareSetting.OUTPATIENT: "for outpatients",
    CareSetting.INPATIENT: "for inpatients",
    None: "in every setting",
}


def protocol_definitions(knowledge: Knowledge) -> Iterator[Resource]:
    """Every protocol of every region: its ActivityDefinitions, then the PlanDefinition that names them."""
    for protocol in knowledge.protocols:
        known = knowledge.catalogue
        date = known.files[f"protocols/{protocol.id}.toml"].date
        system = uris_of(knowledge)[protocol.product.system or ""]
        yield from _PublishedProtocol(protocol, known.protocols[protocol.id], date, system).resources()


@dataclass(frozen=True, slots=True)
class _PublishedProtocol:
    """One protocol on its way to FHIR; `system` is the address of the code system of its product."""

    protocol: Protocol
    sources: ProtocolSources
    date: str
    system: str

    def resources(self) -> Iterator[Resource]:
        phases = [self._session(phase, source) for phase, source in self._phases()]
        points = [self._review(point, source) for point, source in self._points()]
        after = [self._continuation()] if self.protocol.then_repeat else []
        activities = [*phases, *points, *after]
        yield from activities
        yield self._plan({activity["id"]: activity for activity in activities})

    def _phases(self) -> Iterable[tuple[Phase, str]]:
        return zip(self.protocol.phases, self.sources.phases, strict=True)

    def _points(self) -> Iterable[tuple[DecisionPoint, str]]:
        return zip(self.protocol.decision_points, self.sources.decision_points, strict=True)

    # activities ----------------------------------------------------------------------------------

    def _session(self, phase: Phase, source: str) -> Resource:
        """The sessions of a phase. Options are words: FHIR has no choice between two quantities."""
        given = [_dosage(1, "First session: ", phase.first_dose_mg)] if phase.first_dose_mg else []
        then = "Then " if given else ""
        return self._medicine(phase.name, f"Esketamine session, {phase.name}", _in_words(phase), source) | {
            "timingTiming": {"repeat": _rhythm(phase)},
            "dosage": [*given, _dosage(len(given) + 1, then, phase.dose_options_mg)],
        }

    def _continuation(self) -> Resource:
        repeat = self.protocol.then_repeat
        assert repeat is not None  # noqa: S101 - asked for only where there is one
        then = self.protocol.then
        return self._medicine("after", "Esketamine after the last dated session", then, self.sources.then) | {
            "timingTiming": {
                "repeat": {
                    "frequency": repeat.frequency,
                    "period": repeat.period,
                    "periodMax": repeat.period_max,
                    "periodUnit": repeat.unit,
                }
            },
            "dosage": [{"sequence": 1, "text": then}],
        }

    def _review(self, point: DecisionPoint, source: str) -> Resource:
        """A clinician decides how to go on."""
        activity = self._activity(point.code, _title(point.code), point.text, source)
        return activity | {"kind": "Task", "intent": "proposal", "code": {"text": _title(point.code)}}

    def _medicine(self, part: str, title: str, about: str, source: str) -> Resource:
        product = self.protocol.product
        coding = {"system": self.system, "code": product.code, "display": product.display}
        return self._activity(part, title, about, source) | {
            "kind": "MedicationRequest",
            "intent": "proposal",
            "code": {"text": title},
            "productCodeableConcept": {"coding": [coding], "text": product.display},
        }

    def _activity(self, part: str, title: str, about: str, source: str) -> Resource:
        protocol = self.protocol
        about = f"{about} Part of: {protocol.title}. Source: {source}."
        activity = self._define(
            "ActivityDefinition", f"{protocol.id}-{part}", f"{title} ({protocol.id})", about
        )
        return activity | {"relatedArtifact": _cited(source)}

    def _define(self, kind: str, identity: str, title: str, about: str) -> Resource:
        protocol = self.protocol
        edition = Edition(protocol.version, self.date, self.sources.status)
        return define(kind, identity, title, about, edition) | {
            "useContext": [_ages(protocol)],
            "jurisdiction": [_JURISDICTIONS[protocol.region]],
            "copyright": licences_of([protocol.product.system or ""]),
        }

    # the plan ------------------------------------------------------------------------------------

    def _plan(self, activities: dict[str, Resource]) -> Resource:
        protocol, sources = self.protocol, self.sources
        about = (
            f"{protocol.title}. Decision support: a clinician decides. Source: {sources.protocol}. "
            f"Clinical review: {sources.reviewer}."
        )
        actions = [
            *self._alongside(),
            *self._preparation(),
            *self._course(activities),
            *self._visit(),
            self._then(activities),
        ]
        return self._define("PlanDefinition", protocol.id, protocol.title, about) | {
            "type": {"coding": [{"system": _PLAN_TYPE, "code": "clinical-protocol"}]},
            "usage": "Generated from a reviewed file; the same file is what the service decides by.",
            "relatedArtifact": [*_cited(sources.protocol), *_cited(sources.product)],
            "action": actions,
        }

    def _alongside(self) -> Iterator[Resource]:
        classes, source = self.protocol.oral_antidepressant, self.sources.oral_antidepressant
        if source is not None:
            which = "" if self.protocol.any_antidepressant else f" of the class {' or '.join(classes)}"
            text = f"An oral antidepressant{which} is taken alongside."
            yield _action("oral-antidepressant", "Oral antidepressant alongside", text, source)

    def _preparation(self) -> Iterator[Resource]:
        tasks = [*self._tasks("first-session")]
        if tasks:
            yield _group("preparation", "Before the first session", tasks)

    def _course(self, activities: dict[str, Resource]) -> Iterator[Resource]:
        """Phases and decision points in the order of time, counted in weeks from the first session."""
        first = self.protocol.phases[0].name
        dated: list[tuple[int, Resource]] = []
        reviewed: list[DecisionPoint] = []
        for point, source in self._points():
            action = _action(point.code, _title(point.code), point.text, source)
            action["relatedAction"] = [_after_start(first, point.after_week)]
            action["participant"] = [{"type": "practitioner"}]
            dated.append((point.after_week, action))
        for phase, source in self._phases():
            reviewed = [p for p in self.protocol.decision_points if p.after_week < phase.first_week]
            text = _in_words(phase) + (
                " Only if the benefit review supports continued treatment." if reviewed else ""
            )
            title = f"{_title(phase.name)}, weeks {phase.first_week} to {phase.last_week}"
            action = _action(phase.name, title, text, source)
            if phase.name != first:
                action["relatedAction"] = [
                    _after_start(first, phase.first_week - 1),
                    *({"actionId": point.code, "relationship": "after-end"} for point in reviewed),
                ]
            action["timingTiming"] = {"repeat": _rhythm(phase)}
            dated.append((phase.first_week - 1, action))
        for _, action in sorted(dated, key=lambda one: one[0]):
            yield action | {"definitionCanonical": self._canonical(activities, str(action["id"]))}

    def _visit(self) -> Iterator[Resource]:
        """What every visit takes, of every care setting."""
        visit = self.protocol.visit
        for part, title, texts in (
            ("before-session", "Before each session", visit.before),
            ("during-session", "During each session", visit.during),
            ("after-session", "After each session", visit.after),
        ):
            tasks = [{"title": text, "documentation": _cited(self.sources.visit)} for text in texts]
            more = [*self._tasks("each-session")] if part == "after-session" else []
            yield _group(part, title, [*tasks, *more])

    def _tasks(self, when: str) -> Iterator[Resource]:
        for task, source in zip(self.protocol.tasks_by_setting, self.sources.tasks, strict=True):
            if task.when == when:
                where = _SETTINGS[task.setting]
                yield {
                    "title": task.text,
                    "description": f"{task.text} ({where}).",
                    "documentation": _cited(source),
                }

    def _then(self, activities: dict[str, Resource]) -> Resource:
        action = _action("after", "After the last dated session", self.protocol.then, self.sources.then)
        action["relatedAction"] = [{"actionId": self.protocol.phases[-1].name, "relationship": "after-end"}]
        if self.protocol.then_repeat is not None:
            action["definitionCanonical"] = self._canonical(activities, "after")
        return action

    def _canonical(self, activities: dict[str, Resource], part: str) -> str:
        return canonical_of(activities[f"{self.protocol.id}-{part}"])


def _title(code: str) -> str:
    return code.replace("-", " ").capitalize()


def _cited(source: str) -> list[Resource]:
    return [{"type": "citation", "citation": source}]


def _action(identity: str, title: str, text: str, source: str) -> Resource:
    return {"id": identity, "title": title, "description": text, "documentation": _cited(source)}


def _group(identity: str, title: str, actions: list[Resource]) -> Resource:
    return {"id": identity, "title": title, "groupingBehavior": "logical-group", "action": actions}


def _after_start(action: str, weeks: int) -> Resource:
    offset = {"value": weeks, "unit": "weeks", "system": _UCUM, "code": "wk"}
    return {"actionId": action, "relationship": "after-start", "offsetDuration": offset}


def _sessions(phase: Phase) -> int:
    return (phase.last_week - phase.first_week + 1) * phase.sessions_a_week


def _rhythm(phase: Phase) -> Resource:
    """So many times a week, for the weeks of the phase."""
    weeks = phase.last_week - phase.first_week + 1
    return {
        "boundsDuration": {"value": weeks, "unit": "weeks", "system": _UCUM, "code": "wk"},
        "count": _sessions(phase),
        "frequency": phase.sessions_a_week,
        "period": 1,
        "periodUnit": "wk",
    }


def _in_words(phase: Phase) -> str:
    first = f"The first session {_options(phase.first_dose_mg)}, then " if phase.first_dose_mg else ""
    return (
        f"{_sessions(phase)} sessions in weeks {phase.first_week} to {phase.last_week}, "
        f"{phase.sessions_a_week} a week, at least {phase.min_days_between} days apart. "
        f"{first}{_options(phase.dose_options_mg)}; the clinician decides the dose."
    )


def _options(doses: tuple[int, ...]) -> str:
    return " or ".join(f"{dose} mg" for dose in doses)


def _dosage(sequence: int, when: str, doses: tuple[int, ...]) -> Resource:
    """One dose as a quantity as well; several only in words."""
    words = f"{when}{_options(doses)}"
    dosage: Resource = {"sequence": sequence, "text": words[0].upper() + words[1:]}
    if len(doses) == 1:
        dose = {"value": doses[0], "unit": "mg", "system": _UCUM, "code": "mg"}
        dosage["doseAndRate"] = [{"doseQuantity": dose}]
    else:
        dosage["text"] += "; the clinician decides the dose"
    return dosage


def _ages(protocol: Protocol) -> Resource:
    """For whom, by age in years."""
    limits = {"low": protocol.min_age, "high": protocol.max_age}
    ages = {
        end: {"value": age, "unit": "years", "system": _UCUM, "code": "a"}
        for end, age in limits.items()
        if age is not None
    }
    return {"code": {"system": _USAGE, "code": "age"}, "valueRange": ages}
