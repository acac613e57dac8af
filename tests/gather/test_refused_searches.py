"""A search that is refused for its parameters is repeated as the dialect says, or its kind is named."""

import httpx
import pytest

from service.core.safety import SAFETY_RECORDS
from service.errors import ServerMisread, ServerRefused
from service.fhir.sources import Gathered
from service.gather.everything import gather
from service.knowledge.dialects import DeclaredSearch, Dialect, Dialects
from tests.support import (
    PretendServer,
    Resource,
    a_bundle,
    client_of,
    contents_of,
    fhir_response,
    reviewer,
    with_two_trials,
)

VENDOR = "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369"
ANN = with_two_trials()
PLANS = {"first", "second", "both"}
DRAFT: Resource = {"status": "active", "intent": "plan", "subject": {"reference": "Patient/ann"}}


def an_outcome(code: str, *numbers: str, severity: str = "error") -> Resource:
    coding = [{"system": VENDOR, "code": number, "display": "Ann Miller, born 1981"} for number in numbers]
    issue = {"severity": severity, "code": code, "details": {"coding": coding, "text": "Ann Miller"}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def refusing(kind: str, answer: httpx.Response) -> PretendServer:
    return PretendServer(ANN, everything=False, answers={kind: lambda _: answer})


async def gathered(server: PretendServer, dialect: Dialect | None = None) -> Gathered:
    client = client_of(server, attempts=1, dialects=Dialects(chosen=dialect))
    return await gather(client, "ann", reviewer().knowledge)


# --- without a dialect ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("code", ["required", "not-supported", "invalid", "value", "business-rule"])
@pytest.mark.parametrize("kind", ["Condition", "CarePlan", "Procedure", "Observation"])
async def test_a_kind_whose_search_is_refused_for_its_parameters_is_not_screened(
    kind: str, code: str, status: int
) -> None:
    found = await gathered(refusing(kind, fhir_response(an_outcome(code), status)))
    assert (found.not_read, found.refused) == ((kind,), (kind,))
    answer = reviewer().review(found).answer
    assert answer.not_screened == [kind]
    assert (answer.decision.value == "needs-review") is (kind in SAFETY_RECORDS)


@pytest.mark.parametrize("status", [405, 501])
async def test_a_kind_that_nobody_may_search_for_is_not_screened(status: int) -> None:
    found = await gathered(refusing("Flag", httpx.Response(status)))
    assert (found.not_read, found.refused) == (("Flag",), ("Flag",))


@pytest.mark.parametrize("code", ["exception", "processing", "not-found", "made-up"])
async def test_a_refusal_that_says_nothing_of_the_search_fails_the_whole(code: str) -> None:
    with pytest.raises(ServerRefused, match="Condition: the server answered 400"):
        await gathered(refusing("Condition", fhir_response(an_outcome(code), 400)))


async def test_a_search_that_lacks_a_parameter_is_not_tried_with_smaller_pages() -> None:
    server = refusing("CarePlan", fhir_response(an_outcome("required"), 400))
    await gathered(server)
    assert len([path for path in server.paths if path.startswith("CarePlan")]) == 1


class WithoutSearch(PretendServer):
    """A server that lets plans be read by their id only."""

    def _capability(self) -> Resource:
        statement = super()._capability()
        for offered in statement["rest"][0]["resource"]:
            codes = ["read"] if offered["type"] == "CarePlan" else ["read", "search-type"]
            offered["interaction"] = [{"code": code} for code in codes]
        return statement


async def test_a_kind_that_is_offered_without_a_search_is_not_screened_and_not_asked_for() -> None:
    server = WithoutSearch(ANN, everything=False)
    found = await gathered(server)
    assert (found.not_read, found.refused) == (("CarePlan",), ())
    assert not any("CarePlan" in path for path in server.paths)


# --- as the dialect declares ----------------------------------------------------------------------


class ByCategory(PretendServer):
    """A server that shows plans of one category at a time; `categories` are those that it knows."""

    def __init__(self, categories: tuple[str, ...], status: int = 400) -> None:
        self.categories = categories
        self.status = status
        plans = [{"resourceType": "CarePlan", "id": name, **DRAFT} for name in ("first", "second", "both")]
        super().__init__([*ANN, *plans], everything=False)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        category = request.url.params.get("category")
        if request.url.path.endswith("/CarePlan") and category not in self.categories:
            self.asked.append(request)
            return httpx.Response(self.status)
        return super().__call__(request)

    def _search(self, kind: str, params: httpx.QueryParams) -> list[Resource]:
        found = super()._search(kind, params)
        return found if kind != "CarePlan" else [p for p in found if p["id"] in {params["category"], "both"}]


def by(*categories: str, partial: bool = False) -> Dialect:
    declared = DeclaredSearch(tuple({"category": category} for category in categories), partial)
    return Dialect(id="by-category", searches={"CarePlan": declared})


def plans_in(found: Gathered) -> list[str]:
    return sorted(PLANS.intersection(source.head.id or "" for source in found.sources))


@pytest.mark.parametrize("status", [400, 422])
async def test_a_search_that_is_refused_is_repeated_as_the_dialect_declares(status: int) -> None:
    found = await gathered(ByCategory(("first", "second"), status), by("first", "second"))
    assert plans_in(found) == ["both", "first", "second"]
    assert (found.not_read, found.refused) == ((), ())


async def test_a_declared_search_that_does_not_show_all_leaves_the_kind_named_and_not_refused() -> None:
    found = await gathered(ByCategory(("first",)), by("first", partial=True))
    assert plans_in(found) == ["both", "first"]
    assert (found.not_read, found.refused) == (("CarePlan",), ())
    assert reviewer().review(found).answer.not_screened == ["CarePlan"]


async def test_a_declared_search_that_is_refused_too_keeps_what_the_others_show() -> None:
    server = ByCategory(("first",))
    refused = fhir_response(an_outcome("not-supported"), 400)
    plain = server.__call__

    def answer(request: httpx.Request) -> httpx.Response:
        return refused if request.url.params.get("category") == "third" else plain(request)

    client = client_of(answer, dialects=Dialects(chosen=by("first", "third")))
    found = await gather(client, "ann", reviewer().knowledge)
    assert (plans_in(found), found.refused) == (["both", "first"], ("CarePlan",))


async def test_a_kind_that_is_forbidden_is_not_searched_for_again() -> None:
    server = ByCategory(("first", "second"), 403)
    found = await gathered(server, by("first", "second"))
    assert (plans_in(found), found.refused) == ([], ("CarePlan",))
    assert not any("category" in path for path in server.paths)


async def test_a_server_that_takes_the_plain_search_is_not_asked_for_less() -> None:
    server = PretendServer([*ANN, {"resourceType": "CarePlan", "id": "first", **DRAFT}], everything=False)
    found = await gathered(server, by("second", partial=True))
    assert (plans_in(found), found.not_read) == (["first"], ())
    assert not any("category" in path for path in server.paths)


# --- error numbers of a vendor --------------------------------------------------------------------

NUMBERED = Dialect(id="numbered", withheld=frozenset({"59204"}), incomplete=frozenset({"4135"}))


def remarking(kind: str, outcome: Resource) -> PretendServer:
    bundle = a_bundle([one for one in ANN if one["resourceType"] == kind], kind="searchset")
    bundle["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
    return PretendServer(ANN, everything=False, answers={kind: lambda _: fhir_response(bundle)})


async def test_a_warning_withholds_by_its_number() -> None:
    outcome = an_outcome("processing", "59204", severity="warning")
    found = await gathered(remarking("Condition", outcome), NUMBERED)
    assert found.refused == ("Condition",)
    assert {"Patient/ann", "Condition/depression"} <= contents_of(found)
    assert reviewer().review(found).answer.decision.value == "needs-review"
    assert (await gathered(remarking("Condition", outcome))).refused == ()


async def test_a_warning_falls_short_by_its_number() -> None:
    with pytest.raises(ServerMisread, match="may be incomplete"):
        await gathered(remarking("Condition", an_outcome("processing", "4135", severity="warning")), NUMBERED)


async def test_a_refusal_withholds_by_its_number_whatever_its_status() -> None:
    found = await gathered(refusing("Flag", fhir_response(an_outcome("processing", "59204"), 404)), NUMBERED)
    assert found.refused == ("Flag",)


# --- the server's own words -----------------------------------------------------------------------


async def message_after(answer: httpx.Response) -> str:
    with pytest.raises(ServerRefused) as caught:
        await client_of(lambda _: answer, attempts=1).get("Patient/ann")
    return str(caught.value)


async def test_a_message_names_codes_and_numbers_and_no_words() -> None:
    outcome = an_outcome("business-rule", "59100", "4107")
    outcome["issue"] += [{"severity": "error", "code": "ann-miller", "diagnostics": "Ann Miller"}]
    assert await message_after(fhir_response(outcome, 400)) == (
        "GET /r4/Patient/ann: the server answered 400 (business-rule, 59100, 4107)"
    )


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"issue": 1}', b'{"issue": [' + b" " * 100_000])
async def test_a_refusal_without_an_outcome_is_told_by_its_status(body: bytes) -> None:
    assert (await message_after(httpx.Response(400, content=body))).endswith("answered 400")
