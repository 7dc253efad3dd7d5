"""requests_oauth2client: its `token_exchange`, with DPoP and nonces."""

from jwskate import Jwk
from requests_oauth2client import ClientSecretBasic, ClientSecretPost, OAuth2Client, PrivateKeyJwt, PublicApp

import driver

TESTING = True  # takes 127.0.0.1 and plain http; leave it out elsewhere


# recipe
def client(issuer, login):
    return OAuth2Client(token_endpoint=f"{issuer}/token", auth=login, testing=TESTING)


def token(found, subject_token, subject_token_type, resource, dpop=False, **more):
    return found.token_exchange(subject_token=subject_token, subject_token_type=subject_token_type, resource=resource,
                                dpop=dpop, **more).access_token
# end


def exchange(setup, case):
    name, secret = case["client_id"], case["client_secret"]
    logins = {"basic": lambda: ClientSecretBasic(name, secret), "post": lambda: ClientSecretPost(name, secret),
              "private_key_jwt": lambda: PrivateKeyJwt(name, Jwk(case["jwk"])), "none": lambda: PublicApp(name)}
    names = ["scope", "actor_token", "actor_token_type", "requested_token_use"]
    more = {name: case[name] for name in names if case[name]}
    found = client(setup["issuer"], logins[case["auth"]]())
    if case["grant"] == "client_credentials":
        return found.client_credentials(resource=case["resource"], **more).access_token
    if case["assertion"]:
        return found.jwt_bearer(case["assertion"], resource=case["resource"], **more).access_token
    return token(found, case["subject_token"], case["subject_token_type"],
                 case["resource"], case["dpop"], **more)


driver.run(exchange)
