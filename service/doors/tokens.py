"""The tokens of CDS Hooks: JSON Web Tokens (RFC 7519), signed with RS384 or ES384."""

import binascii
import math
import warnings
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from service.fhir.auth import Algorithm

Part = TypeVar("Part")
_ALGORITHMS = [algorithm.value for algorithm in Algorithm]
_LONGEST = 8192
_LONGEST_NAME = 256


class _TokenHeader(msgspec.Struct):
    alg: str
    kid: str
    jku: str | None = None


class _TokenClaims(msgspec.Struct):
    iss: str
    aud: str | list[str]
    exp: float
    iat: float
    jti: str


@dataclass(frozen=True, slots=True)
class CallerToken:
    """What a token says of itself; nothing of it holds until it `is_signed_by` a key of its issuer.

    `keys_at` is the address at which it says that its key is. `issued` and `ends` are seconds of the epoch.
    """

    issuer: str
    audience: tuple[str, ...]
    id: str
    issued: float
    ends: float
    key_id: str
    keys_at: str | None
    _text: str

    def is_signed_by(self, key: dict[str, Any]) -> bool:
        """Whether the signature is of a JSON Web Key, which must be one for RS384 or ES384."""
        # The library takes 0.2 s to import, and few services are called.
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import JoseError, SecurityWarning  # noqa: PLC0415
        from joserfc.jwk import import_key  # noqa: PLC0415

        try:
            with warnings.catch_warnings(action="error", category=SecurityWarning):
                jwt.decode(self._text, import_key(key), algorithms=_ALGORITHMS)
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError, AttributeError):
            return False
        return True


def read_token(text: str) -> CallerToken | None:
    """What a token says; `None` for what is none, or is not signed with RS384 or ES384."""
    if len(text) > _LONGEST:
        return None
    try:
        head, body, _ = text.split(".")
        header, claims = _decoded(head, _TokenHeader), _decoded(body, _TokenClaims)
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    if header.alg not in _ALGORITHMS or not _is_proper(claims):
        return None
    audience = (claims.aud,) if isinstance(claims.aud, str) else tuple(claims.aud)
    return CallerToken(claims.iss, audience, claims.jti, claims.iat, claims.exp, header.kid, header.jku, text)


def _is_proper(claims: _TokenClaims) -> bool:
    named = 0 < len(claims.jti) <= _LONGEST_NAME
    return named and math.isfinite(claims.exp) and math.isfinite(claims.iat)


def _decoded(text: str, kind: type[Part]) -> Part:
    return msgspec.json.decode(urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}"), type=kind)
