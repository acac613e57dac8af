"""The example keys and signatures of SMART App Launch: we read, sign and verify as the guide has it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from joserfc import jws
from joserfc.jwk import KeySet

from service.fhir.keys import KeyRing, read_keys

KNOWN: dict[str, Any] = json.loads(Path(__file__).with_name("known_keys.json").read_bytes())
CLAIMS: dict[str, Any] = KNOWN["claims"]
EACH = pytest.mark.parametrize("algorithm", list(KNOWN["keys"]))
_HALF = 48
"""The bytes of a number on the curve P-384."""


@pytest.fixture
def ring(algorithm: str, tmp_path: Path) -> KeyRing:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [KNOWN["keys"][algorithm]]}))
    return read_keys(path)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(algorithm: str, name: str) -> int:
    return int.from_bytes(decoded(KNOWN["keys"][algorithm][name]))


def token_of_the_guide(algorithm: str) -> str:
    header = {"typ": "JWT", "alg": algorithm, "kid": KNOWN["keys"][algorithm]["kid"]}
    parts = (encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, CLAIMS))
    return ".".join([*parts, KNOWN["signatures"][algorithm]])


@EACH
def test_the_public_half_is_the_one_of_the_guide(algorithm: str, ring: KeyRing) -> None:
    known = KNOWN["keys"][algorithm]
    public = {"kty", "kid", "alg", "n", "e", "crv", "x", "y"} & known.keys()
    assert ring.public() == {"keys": [{name: known[name] for name in public} | {"use": "sig"}]}


@EACH
def test_the_signature_of_the_guide_verifies_with_the_key_that_we_publish(
    algorithm: str, ring: KeyRing
) -> None:
    keys = KeySet.import_key_set(ring.public())  # type: ignore[arg-type]
    signed = jws.deserialize_compact(token_of_the_guide(algorithm), keys, algorithms=[algorithm])
    assert json.loads(signed.payload) == CLAIMS


@pytest.mark.parametrize("algorithm", ["RS384"])
def test_a_signature_that_no_chance_is_in_is_the_one_of_the_guide(algorithm: str, ring: KeyRing) -> None:
    assert ring.sign(CLAIMS) == token_of_the_guide(algorithm)


@EACH
def test_our_signature_verifies_with_the_bare_numbers(algorithm: str, ring: KeyRing) -> None:
    signed, _, signature = ring.sign(CLAIMS).rpartition(".")
    if algorithm == "RS384":
        of_rsa = rsa.RSAPublicNumbers(number(algorithm, "e"), number(algorithm, "n")).public_key()
        of_rsa.verify(decoded(signature), signed.encode(), padding.PKCS1v15(), SHA384())
    else:
        point = number(algorithm, "x"), number(algorithm, "y")
        halves = (int.from_bytes(decoded(signature)[at:][:_HALF]) for at in (0, _HALF))
        of_curve = ec.EllipticCurvePublicNumbers(*point, ec.SECP384R1()).public_key()
        of_curve.verify(encode_dss_signature(*halves), signed.encode(), ec.ECDSA(SHA384()))
