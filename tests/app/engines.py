"""What an integration engine sends, and what it makes of the answer. All of it is made up."""

from io import BytesIO
from typing import NamedTuple

from aiohttp import ClientResponse

from tests.app.serving import Site

DOOR = "/hl7v2"
ER7 = "application/hl7-v2"
SYSTEM = "http://hospital.example/mrn"
AUTHORITIES = {"HOSP": SYSTEM}
MRN = "MRN-17"


def a_message(
    kind: str = "ADT^A08^ADT_A01",
    *segments: str,
    version: str = "2.5.1",
    control_id: str = "C-1",
    delimiters: str = "|^~\\&",
    end: str = "\r",
) -> str:
    """A message; without segments of its own, with a PID that names a patient of the hospital."""
    head = ["EHR", "WARD", "TRD", "CLINIC", "20261123080000", "", kind, control_id, "P", version]
    usual = str.maketrans("|^~\\&", delimiters[:5])
    header = f"MSH{delimiters}" + "|".join(["", *head]).translate(usual)
    own = segments or (f"PID|1||{MRN}^^^HOSP^MR".translate(usual),)
    return "".join(f"{segment}{end}" for segment in (header, *own))


class Ack(NamedTuple):
    """An acknowledgement, taken apart by plain splitting: no code of the service reads it."""

    status: int
    segments: list[list[str]]
    text: str

    @property
    def code(self) -> str:
        return self.segments[1][1]

    @property
    def error(self) -> list[str]:
        (error,) = [segment for segment in self.segments if segment[0] == "ERR"]
        return error


async def sent(site: Site, message: str | bytes, content_type: str = ER7, **headers: str) -> Ack:
    """Send a message; checks that the answer has the shape of an acknowledgement."""
    content = BytesIO(message if isinstance(message, bytes) else message.encode())
    answer = await site.post(DOOR, data=content, headers={"Content-Type": content_type, **headers})
    return await ack_of(answer)


async def ack_of(answer: ClientResponse) -> Ack:
    """The acknowledgement that was answered, checked to be one."""
    body = await answer.read()
    assert answer.status in {200, 503}, body
    text = body.decode(answer.charset or "")
    assert text.startswith("MSH"), text
    assert text.endswith("\r")
    assert "\n" not in text
    segments = [segment.split(text[3]) for segment in text.split("\r")[:-1]]
    names = [segment[0] for segment in segments]
    assert names == (["MSH", "MSA"] if segments[1][1] == "AA" else ["MSH", "MSA", "ERR"])
    assert segments[1][1] in {"AA", "AE", "AR"}
    return Ack(answer.status, segments, text)
