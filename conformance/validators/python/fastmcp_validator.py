"""FastMCP: `JWTVerifier`, and `IntrospectionTokenVerifier` where a revoked token must be refused at once."""

import asyncio

from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from fastmcp.server.auth.providers.jwt import JWTVerifier

import driver


# recipe
def by_signature(issuer, audience):
    return JWTVerifier(jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=audience, algorithm="ES256")


def by_asking(issuer, audience, client_id, client_secret):
    return IntrospectionTokenVerifier(introspection_url=f"{issuer}/introspect", client_id=client_id,
                                      client_secret=client_secret, audience=audience)
# end


def make(setup):
    asks = setup["how"] == "introspection"
    verifier = (by_asking(setup["issuer"], setup["audience"], setup["client_id"], setup["client_secret"]) if asks
                else by_signature(setup["issuer"], setup["audience"]))

    def validate(token):
        found = asyncio.run(verifier.verify_token(token))
        if found is None:
            raise ValueError("refused")
        return found.subject or (found.claims or {}).get("sub")

    return validate


driver.run(make)
