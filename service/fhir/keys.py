"""The key pairs by which this service proves who it is to a FHIR server (SMART Backend Services).

A file holds the current key, which signs, and perhaps the next one: both public halves are published, so that
a server knows the next one before it signs (https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html).
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey, import_key

from service.errors import SettingsError
from service.fhir.auth import Algorithm

Key = ECKey | RSAKey
_RSA_BITS = 3072
_LEAST_RSA_BITS = 2048
_CURVE = "P-384"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Key pairs, the one that signs first."""

    keys: tuple[Key, ...]

    def sign(self, claims: dict[str, Any]) -> str:
        """A JSON Web Token with these claims, signed by the current key."""
        key = self.keys[0]
        algorithm = algorithm_of(key)
        header = {"alg": algorithm.value, "kid": _id_of(key), "typ": "JWT"}
        return jwt.encode(header, claims, key, algorithms=[algorithm.value])

    def public(self) -> dict[str, Any]:
        """The public halves as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [_described(key, private=False) for key in self.keys]}

    def write(self, path: Path) -> None:
        """Keep the private halves in a file that its owner alone can read; it is whole or as it was."""
        content = json.dumps({"keys": [_described(key, private=True) for key in self.keys]}, indent=2)
        beside = path.with_name(f"{path.name}.new")
        beside.unlink(missing_ok=True)
        beside.touch(mode=0o600, exist_ok=False)
        beside.write_text(f"{content}\n", encoding="utf-8")
        beside.replace(path)


def make_key(algorithm: Algorithm) -> Key:
    """A new key pair; its id is its thumbprint (RFC 7638)."""
    if algorithm is Algorithm.ES384:
        return ECKey.generate_key(_CURVE)
    return RSAKey.generate_key(_RSA_BITS)


def read_keys(path: Path) -> KeyRing:
    """The keys of a file: a JSON Web Key or a set of them, or one key as PEM.

    Raises `SettingsError` that says what is wrong with it, and nothing of its content.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError("TRD_FHIR_KEY: the file cannot be read") from None
    try:
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            found = _keys_in(text)
    except (ValueError, TypeError, AttributeError, JoseError):
        raise SettingsError(
            "TRD_FHIR_KEY: neither a JSON Web Key nor a PEM file with a private key"
        ) from None
    for key in found:
        _check(key)
    if not found:
        raise SettingsError("TRD_FHIR_KEY: the file holds no key")
    return KeyRing(tuple(found))


def _keys_in(text: str) -> list[Any]:
    if text.lstrip().startswith("-----BEGIN"):
        try:
            return [RSAKey.import_key(text)]
        except (ValueError, TypeError, JoseError):
            return [ECKey.import_key(text)]
    content = json.loads(text)
    return [import_key(one) for one in content.get("keys", [content])]


def _check(key: Any) -> None:
    if not isinstance(key, Key) or not key.is_private:
        raise SettingsError("TRD_FHIR_KEY: not a private RSA or EC key")
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        raise SettingsError(f"TRD_FHIR_KEY: an RSA key of less than {_LEAST_RSA_BITS} bits")
    if isinstance(key, ECKey) and key.curve_name != _CURVE:
        raise SettingsError(f"TRD_FHIR_KEY: an EC key must be on the curve {_CURVE}")


def algorithm_of(key: Key) -> Algorithm:
    """What a key signs with."""
    return Algorithm.ES384 if isinstance(key, ECKey) else Algorithm.RS384


def _id_of(key: Key) -> str:
    return key.kid or key.thumbprint()


def _described(key: Key, *, private: bool) -> dict[str, Any]:
    """A key as its JSON, with what a server needs to choose it."""
    kept = {name: value for name, value in key.as_dict(private=private).items() if name not in _USE}
    return {**kept, "kid": _id_of(key), "alg": algorithm_of(key).value, "use": "sig"}


_USE: Sequence[str] = ("key_ops", "use", "ext", "alg", "kid")
