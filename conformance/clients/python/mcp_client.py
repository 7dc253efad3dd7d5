"""The MCP SDK: from an MCP server to its authorization server, and back with a token."""

import asyncio

import httpx2
from mcp.client.auth.extensions.client_credentials import (ClientCredentialsOAuthProvider, PrivateKeyJWTOAuthProvider,
                                                           SignedJWTParameters)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

import driver


class Storage:
    """What the SDK keeps between runs; here in memory."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


# recipe
def with_secret(server_url, issuer, client_id, client_secret, method="client_secret_basic"):
    return ClientCredentialsOAuthProvider(server_url, Storage(), client_id, client_secret,
                                          token_endpoint_auth_method=method, issuer=issuer)


def with_key(server_url, issuer, client_id, pem):
    signed = SignedJWTParameters(issuer=client_id, subject=client_id, signing_key=pem, signing_algorithm="ES256")
    return PrivateKeyJWTOAuthProvider(server_url, Storage(), client_id, signed.create_assertion_provider(), issuer=issuer)


def for_a_person(server_url, issuer, client_id, client_secret, assertion_for, method="client_secret_post"):
    """`assertion_for(issuer, resource)` gets a grant or an ID token of the person from where she signed in."""
    return IdentityAssertionOAuthProvider(server_url, Storage(), client_id, client_secret, issuer, assertion_for,
                                          token_endpoint_auth_method=method)
# end


async def ask(server_url, provider):
    async with httpx2.AsyncClient(auth=provider) as client:
        return (await client.get(server_url)).json()["access_token"]


def exchange(setup, case):
    place, issuer, name = setup["mcp"], setup["issuer"], case["client_id"]
    if case["assertion"]:
        async def assertion_for(audience, resource):
            return case["assertion"]

        return asyncio.run(ask(place, for_a_person(place, issuer, name, case["client_secret"], assertion_for,
                                                   f"client_secret_{case['auth']}")))
    provider = (with_key(place, issuer, name, case["keys"]["ES256"]["pem"]) if case["auth"] == "private_key_jwt"
                else with_secret(place, issuer, name, case["client_secret"], f"client_secret_{case['auth']}"))
    return asyncio.run(ask(place, provider))


driver.run(exchange)
