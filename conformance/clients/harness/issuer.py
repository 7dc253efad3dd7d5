"""The issuers that vouch for people and workloads, a partner's authorization server, and the MCP servers that clients are sent away from, on loopback."""

import http.server
import json
import secrets
import threading
import time

from . import jose


class Issuers:
    """An identity provider at `/idp`, an attester of workloads at `/workloads` and a partner at `/partner`, each with a
    key of its own, found by discovery; and for every server NAME an MCP server at `/NAME/mcp` that asks for its tokens (RFC 9728)."""

    def __init__(self):
        self.keys = {name: jose.EcKey(f"{name}-1") for name in ["idp", "workloads", "partner"]}
        self.authorization_servers = {}
        handler = type("Handler", (_Handler,), {"issuers": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()

    def issuer(self, name):
        return f"{self.base}/{name}"

    def mcp(self, name):
        """The MCP server whose tokens the authorization server `name` issues; also the id of its API."""
        return f"{self.base}/{name}/mcp"

    def id_token(self, audience, subject="alice", seconds=600, **claims):
        """An ID token of a person."""
        return self._token("idp", {"sub": subject, "aud": audience, "email_verified": True, **claims}, seconds)

    def attestation(self, audience, workload, seconds=600):
        """An attestation of a workload."""
        return self._token("workloads", {"sub": workload, "aud": audience}, seconds)

    def id_jag(self, audience, client, resource, scope):
        """A grant of a partner's authorization server, which the agent `client` redeems once."""
        claims = {"sub": "alice", "aud": audience, "client_id": client, "resource": resource, "scope": scope}
        return self._token("partner", claims, 300, "oauth-id-jag+jwt")

    def _token(self, name, claims, seconds, typ="JWT"):
        now = int(time.time())
        common = {"iss": self.issuer(name), "iat": now, "exp": now + seconds, "jti": secrets.token_urlsafe(16)}
        return jose.jwt(self.keys[name], {**common, **claims}, typ)

    def answer(self, path, token):
        """Status, headers and document of a request."""
        for name, key in self.keys.items():
            if path == f"/{name}/.well-known/openid-configuration":
                return 200, {}, {"issuer": self.issuer(name), "jwks_uri": f"{self.base}/{name}/jwks"}
            if path == f"/{name}/jwks":
                return 200, {}, {"keys": [key.public_jwk()]}
        for name, issuer in self.authorization_servers.items():
            described = f"/.well-known/oauth-protected-resource/{name}/mcp"
            if path == described:
                return 200, {}, {"resource": self.mcp(name), "authorization_servers": [issuer],
                                 "bearer_methods_supported": ["header"]}
            if path == f"/{name}/mcp" and token:
                return 200, {}, {"access_token": token}
            if path == f"/{name}/mcp":
                return 401, {"WWW-Authenticate": f'Bearer resource_metadata="{self.base}{described}"'}, {}
        return 404, {}, {"error": "not found"}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(min(length, 65536))
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        status, headers, document = self.issuers.answer(self.path, token if scheme == "Bearer" else None)
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass
