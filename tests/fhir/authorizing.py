"""A FHIR server that asks for a token, with the token server that gives it: every claim is checked."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

TOKEN_URL = "https://login.example.org/token"  # noqa: S105 - an address
_ALLOWED = frozenset({"RS384", "ES384"})
_LONGEST_SECONDS = 300
_CLOCKS_APART = 5
Handler = Callable[[httpx.Request], httpx.Response]


class Authorizing:
    """Stands before a server. `keys` are the public keys of the client, `secret` what it shares.

    It `grants` what is asked for, unless other scopes are named; what it does not `support` is refused.
    `granted` counts tokens; `refused` says why a client was refused, in order; `unauthorized` counts requests
    with a token that is not good. With `states_to_all` anybody may read the CapabilityStatement.
    """

    def __init__(  # noqa: PLR0913 - the traits of a server
        self,
        server: Handler,
        *,
        keys: Callable[[], dict[str, Any]] | None = None,
        secret: tuple[str, str] | None = None,
        life: float | None = 300,
        methods: tuple[str, ...] = (),
        capabilities: tuple[str, ...] = ("permission-v2",),
        grants: str | None = None,
        supports: frozenset[str] | None = None,
        token_url: str = TOKEN_URL,
        states_to_all: bool = False,
    ) -> None:
        self.server, self.keys, self.secret = server, keys, secret
        self.life, self.methods, self.capabilities = life, methods, capabilities
        self.grants, self.supports = grants, supports
        self.token_url = token_url
        self.states_to_all = states_to_all
        self.granted = 0
        self.refused: list[str] = []
        self.scopes: list[str] = []
        self.good: set[str] = set()
        self.unauthorized = 0
        self._used: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) == self.token_url:
            return self._grant(request)
        if request.url.path.endswith("/.well-known/smart-configuration"):
            return httpx.Response(200, json=self._configuration())
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.good:
            if self.states_to_all and not scheme and request.url.path.endswith("/metadata"):
                return self.server(request)
            self.unauthorized += bool(scheme)
            return httpx.Response(401)
        return self.server(request)

    def _configuration(self) -> dict[str, Any]:
        methods = {"token_endpoint_auth_methods_supported": list(self.methods)} if self.methods else {}
        return {"token_endpoint": self.token_url, "capabilities": list(self.capabilities), **methods}

    def _grant(self, request: httpx.Request) -> httpx.Response:
        fields = dict(parse_qsl(request.content.decode()))
        why = self._fault(request, fields)
        if why:
            self.refused.append(why)
            error = "invalid_scope" if why == "scope" else "invalid_client"
            body = {"error": error, "error_description": json.dumps(fields)}
            return httpx.Response(401 if self.secret else 400, json=body)
        self.granted += 1
        self.scopes.append(fields["scope"])
        token = f"token-{self.granted}"
        self.good.add(token)
        life = {} if self.life is None else {"expires_in": self.life}
        scope = {} if self.grants is None else {"scope": self.grants}
        return httpx.Response(200, json={"access_token": token, "token_type": "bearer", **life, **scope})

    def _fault(self, request: httpx.Request, fields: dict[str, str]) -> str | None:
        if request.method != "POST" or fields.get("grant_type") != "client_credentials":
            return "grant"
        asked = set(fields.get("scope", "").split())
        if not asked or (self.supports is not None and not asked <= self.supports):
            return "scope"
        return self._fault_of_secret(request, fields) if self.secret else self._fault_of_assertion(fields)

    def _fault_of_secret(self, request: httpx.Request, fields: dict[str, str]) -> str | None:
        given = fields.get("client_id"), fields.get("client_secret")
        if "client_secret_post" not in self.methods:
            _, _, encoded = request.headers.get("Authorization", "").partition(" ")
            user, _, password = base64.b64decode(encoded).decode().partition(":")
            given = unquote_plus(user), unquote_plus(password)
        return None if given == self.secret else "secret"

    def _fault_of_assertion(self, fields: dict[str, str]) -> str | None:
        """What is wrong with a client assertion (SMART App Launch 2.2, client-confidential-asymmetric)."""
        if fields.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return "type"
        try:
            keys = KeySet.import_key_set(self.keys() if self.keys else {"keys": []})  # type: ignore[arg-type]
            token = jwt.decode(fields["client_assertion"], keys, algorithms=list(_ALLOWED))
        except (JoseError, ValueError, KeyError):
            return "signature"
        claims = token.claims
        faults = {
            "header": not token.header.get("kid") or token.header.get("typ") != "JWT",
            "iss": claims.get("iss") != "our-client" or claims.get("sub") != claims.get("iss"),
            "aud": claims.get("aud") != self.token_url,
            "exp": not 0 < claims.get("exp", 0) - time.time() <= _LONGEST_SECONDS + _CLOCKS_APART,
            "jti": not claims.get("jti") or claims["jti"] in self._used,
        }
        self._used.add(claims.get("jti", ""))
        return next((name for name, faulty in faults.items() if faulty), None)


class Entra(Authorizing):
    """The token endpoint of Microsoft Entra ID before a server: client credentials, for one resource.

    As the Microsoft identity platform documents it (v2.0, OAuth 2.0 client credentials): a scope that ends in
    `/.default` is required, and the answer does not repeat it. No system of Microsoft was asked.
    """

    def __init__(self, server: Handler, *, tenant: str, resource: str, secret: tuple[str, str]) -> None:
        super().__init__(
            server,
            secret=secret,
            life=3599,
            supports=frozenset({f"{resource}/.default"}),
            token_url=f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        )
