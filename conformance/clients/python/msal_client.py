"""MSAL: client credentials, and its on-behalf-of, against any OpenID provider."""

import msal

import driver


# recipe
def application(issuer, client_id, credential):
    return msal.ConfidentialClientApplication(client_id, client_credential=credential, oidc_authority=issuer)


def own_token(app, scopes):
    return app.acquire_token_for_client(scopes=scopes)


def token_on_behalf_of(app, incoming, scopes):
    return app.acquire_token_on_behalf_of(user_assertion=incoming, scopes=scopes)
# end


def exchange(setup, case):
    key = case["keys"].get("RS256")
    credential = {"private_key": key["pem"], "thumbprint": "00" * 20} if key else case["client_secret"]
    app = application(setup["issuer"], case["client_id"], credential)
    answer = (own_token(app, case["scope"].split()) if case["grant"] == "client_credentials"
              else token_on_behalf_of(app, case["assertion"], case["scope"].split()))
    if "access_token" not in answer:
        raise ValueError(f"{answer['error']}: {answer.get('error_description')}")
    return answer["access_token"]


driver.run(exchange)
