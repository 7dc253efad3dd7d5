"""Authlib: `OAuth2Session`, which passes on every parameter of a grant that it does not know."""

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

import driver

METHODS = {"basic": "client_secret_basic", "post": "client_secret_post", "none": "none", "private_key_jwt": "private_key_jwt"}


# recipe
def session(issuer, client_id, secret, method):
    found = OAuth2Session(client_id, secret, token_endpoint_auth_method=method)
    found.register_client_auth_method(PrivateKeyJWT(f"{issuer}/token", alg="ES256"))
    return found


def token(found, issuer, subject_token, subject_token_type, resource, **more):
    return found.fetch_token(f"{issuer}/token", grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
                             subject_token=subject_token, subject_token_type=subject_token_type, resource=resource,
                             **more)["access_token"]


def own_token(found, issuer, resource, **more):
    return found.fetch_token(f"{issuer}/token", grant_type="client_credentials", resource=resource, **more)["access_token"]
# end


def exchange(setup, case):
    secret = ECKey.import_key(case["keys"]["ES256"]["pem"]) if case["auth"] == "private_key_jwt" else case["client_secret"]
    names = ["scope", "actor_token", "actor_token_type", "assertion", "requested_token_use"]
    more = {name: case[name] for name in names if case[name]}
    found = session(setup["issuer"], case["client_id"], secret, METHODS[case["auth"]])
    if case["grant"] == "client_credentials":
        return own_token(found, setup["issuer"], case["resource"], **more)
    if case["assertion"]:
        return found.fetch_token(f"{setup['issuer']}/token", grant_type=case["grant"], resource=case["resource"],
                                 **more)["access_token"]
    return token(found, setup["issuer"], case["subject_token"], case["subject_token_type"], case["resource"], **more)


driver.run(exchange)
