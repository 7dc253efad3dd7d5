"""The MCP SDK: from an MCP server to its authorization server, and back with a token."""

import asyncio

import httpx2
from mcp.client.auth.extensions.client_credentials import (ClientCredentialsOAuthProvider, PrivateKeyJWTOAuthProvider,
                                                           SignedJWTParameters)

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
# end


async def ask(server_url, provider):
    async with httpx2.AsyncClient(auth=provider) as client:
        return (await client.get(server_url)).json()["access_token"]


def exchange(setup, case):
    place, issuer, name = setup["mcp"], setup["issuer"], case["client_id"]
    provider = (with_key(place, issuer, name, case["keys"]["ES256"]["pem"]) if case["auth"] == "private_key_jwt"
                else with_secret(place, issuer, name, case["client_secret"], f"client_secret_{case['auth']}"))
    return asyncio.run(ask(place, provider))


driver.run(exchange)
