"""joserfc: the key set is fetched by the API itself, again when a kid is unknown."""

import json
import ssl
import urllib.request

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

import driver


# recipe
class Validator:
    def __init__(self, issuer, audience, context=None):
        self.issuer, self.context, self.keys = issuer, context, self.fetch(issuer, context)
        self.claims = jwt.JWTClaimsRegistry(leeway=5, iss={"essential": True, "value": issuer},
                                            aud={"essential": True, "value": audience}, exp={"essential": True})

    @staticmethod
    def fetch(issuer, context):
        with urllib.request.urlopen(f"{issuer}/jwks", context=context, timeout=10) as answer:
            return KeySet.import_key_set(json.load(answer))

    def validate(self, token):
        try:
            found = jwt.decode(token, self.keys, algorithms=["ES256"])
        except (InvalidKeyIdError, ValueError):  # bound how often, where strangers can make you ask
            self.keys = self.fetch(self.issuer, self.context)
            found = jwt.decode(token, self.keys, algorithms=["ES256"])
        self.claims.validate(found.claims)
        return found.claims
# end


def make(setup):
    context = ssl.create_default_context(cafile=setup["ca"]) if setup["ca"] else None
    validator = Validator(setup["issuer"], setup["audience"], context)
    return lambda token: validator.validate(token)["sub"]


driver.run(make)
