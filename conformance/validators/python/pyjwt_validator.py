"""PyJWT: keys by `PyJWKClient`, and, where an API has one, the status list of its tokens."""

import base64
import json
import ssl
import urllib.request
import zlib

import jwt

import driver


# recipe
def validator(issuer, audience, context=None):
    keys = jwt.PyJWKClient(f"{issuer}/jwks", ssl_context=context)

    def claims(token):
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=audience, leeway=5,
                          options={"require": ["exp", "iat", "sub", "jti"]})

    return claims
# end


# recipe status list
def still_valid(claims, keys, context=None):
    """Asks the list that a token names; keep the list for its `ttl` instead of fetching it each time."""
    place = claims["status"]["status_list"]
    with urllib.request.urlopen(place["uri"], context=context, timeout=10) as answer:
        signed = answer.read().decode()
    if jwt.get_unverified_header(signed)["typ"] != "statuslist+jwt":
        raise ValueError("not a status list")
    found = jwt.decode(signed, keys.get_signing_key_from_jwt(signed), algorithms=["ES256"], subject=place["uri"],
                       options={"require": ["exp", "iat", "sub", "ttl"]})
    bits, lst = found["status_list"]["bits"], found["status_list"]["lst"]
    data = zlib.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))
    at = place["idx"] * bits
    return (data[at // 8] >> at % 8) & ((1 << bits) - 1) == 0
# end


def make(setup):
    context = ssl.create_default_context(cafile=setup["ca"]) if setup["ca"] else None
    claims = validator(setup["issuer"], setup["audience"], context)
    keys = jwt.PyJWKClient(f"{setup['issuer']}/jwks", ssl_context=context)

    def validate(token):
        found = claims(token)
        if setup["how"] == "status list" and not still_valid(found, keys, context):
            raise ValueError("the status list says that it is invalid")
        return found["sub"]

    return validate


driver.run(make)
