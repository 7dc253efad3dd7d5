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
    more = {name: case[name] for name in ["scope", "actor_token", "actor_token_type"] if case[name]}
    return token(client(setup["issuer"], logins[case["auth"]]()), case["subject_token"], case["subject_token_type"],
                 case["resource"], case["dpop"], **more)


driver.run(exchange)
