"""google-auth: credentials of the kind `external_account`, and below them its STS client, which knows actors."""

import tempfile

import google.auth.transport.requests
from google.auth import identity_pool
from google.oauth2 import sts, utils

import driver


# recipe
def credentials(issuer, target, token_file, token_type, client_id=None, client_secret=None, scopes=None):
    return identity_pool.Credentials.from_info({
        "type": "external_account",
        "audience": target,
        "subject_token_type": token_type,
        "token_url": f"{issuer}/token",
        "credential_source": {"file": token_file},
        "client_id": client_id,
        "client_secret": client_secret,
    }, scopes=scopes)
# end


def exchange(setup, case):
    request = google.auth.transport.requests.Request()
    if case["auth"] == "post" or case["actor_token"]:
        by = utils.ClientAuthType.basic if case["auth"] == "basic" else utils.ClientAuthType.request_body
        login = utils.ClientAuthentication(by, case["client_id"], case["client_secret"])
        return sts.Client(f"{setup['issuer']}/token", login).exchange_token(
            request, case["grant"], case["subject_token"], case["subject_token_type"], audience=case["audience"],
            scopes=case["scope"].split() or None, actor_token=case["actor_token"],
            actor_token_type=case["actor_token_type"])["access_token"]
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(case["subject_token"])
        file.flush()
        found = credentials(setup["issuer"], case["audience"], file.name, case["subject_token_type"],
                            case["client_id"] or None, case["client_secret"] or None, case["scope"].split() or None)
        found.refresh(request)
        token, headers = found.token, {}
        found.before_request(request, "GET", case["audience"], headers)
        if case["twice"] and headers["authorization"] != f"Bearer {token}":
            raise ValueError("another token for the second call")
        return token


driver.run(exchange)
