"""What every client is asked to do, and what must come of it."""

from . import jose
from .programs import FEATURES
from .server import APIS, CLIENT_CREDENTIALS, EXCHANGE, JWT_BEARER, TYPE

ASSISTANT, CRM, VAULT = "https://assistant.example", "https://crm.example", "https://vault.example"


def issued(subject, api, scope, chain, bound=False):
    """How a token is told of in the report."""
    return f"{subject} at {api}: {scope}, {' < '.join(chain) or 'no act'}{', bound' if bound else ''}"


def outcome(line):
    """What a program's line says that came of a case: the token in words, or the error."""
    if "token" not in line:
        return f"refused: {line['error']}" if line.get("error") else "failed"
    claims = jose.claims_of(line["token"])
    chain, act = [], claims.get("act")
    while act:
        chain.append(act["sub"])
        act = act.get("act")
    bound = "cnf" in claims
    return issued(claims["sub"], claims["aud"], claims.get("scope", ""), chain, bound)


class Case:
    """One case: what the program is told, what it `needs`, and what is `expected`."""

    def __init__(self, name, agent, expected, needs=(), **told):
        self.name, self.agent, self.expected, self.needs, self.told = name, agent, expected, set(needs), told
        assert self.needs <= FEATURES, self.needs - FEATURES

    def given(self, login):
        """The case as the program reads it, with its login."""
        keys = self.agent.keys if login == "private_key_jwt" else []
        pems = {key.alg: {"kid": key.kid, "pem": key.pem()} for key in keys}
        jwk = keys[0].private_jwk() if keys else None
        empty = ["subject_token", "subject_token_type", "actor_token", "actor_token_type", "scope", "assertion",
                 "requested_token_use"]
        secret = self.agent.secret if login in ("basic", "post") else ""
        return {**{name: "" for name in empty}, "case": self.name, "grant": EXCHANGE, "auth": login, "client_id": self.agent.id,
                "keys": pems, "jwk": jwk, "client_secret": secret, "dpop": False, "twice": False, **self.told}


def exchange(name, agent, expected, token, kind, api, needs=(), scope="", actor="", **more):
    """A token exchange; `resource` and `audience` are filled in as the program can say them."""
    needs = {"exchange", *needs, *(["actor"] if actor else [])}
    actor_type = TYPE + "jwt" if actor else ""
    return Case(name, agent, expected, needs, subject_token=token, subject_token_type=TYPE + kind, target=api, scope=scope,
                actor_token=actor, actor_token_type=actor_type, **more)


def hops(server, program):
    """Hops, refusals and tasks, each by the login that the program has at its best."""
    agents, issuers, login = server.agents, server.issuers, program.login
    one, two = agents.orchestrator, agents.analyst
    person = issuers.id_token(one.web)
    first = server.token(one)
    worker = issuers.attestation(server.issuer, "worker")
    looked = issued("idp:alice", ASSISTANT, "customers.lookup", ["orchestrator"])
    yield exchange("first hop", one, looked, person, "id_token", ASSISTANT, {login})
    yield exchange("first hop, scope asked for", one, issued("idp:alice", ASSISTANT, "customers.note", ["orchestrator"]), person,
                   "id_token", ASSISTANT, {login}, scope="customers.note")
    yield exchange("delegated hop", one, issued("idp:alice", CRM, "contacts.read", ["researcher", "orchestrator"]), first,
                   "access_token", CRM, {login}, actor=issuers.attestation(server.issuer, "researcher"))
    yield exchange("on behalf of", two, issued("idp:alice", CRM, "contacts.read", ["analyst", "orchestrator"]), first,
                   "access_token", CRM, {login})
    yield exchange("over-ask", one, "refused: invalid_scope", person, "id_token", CRM, {login}, scope="contacts.delete")
    yield exchange("denial", one, "refused: invalid_target", person, "id_token", VAULT, {login})
    yield exchange("no target, so the agent's default", agents.stock,
                   issued("idp:alice", ASSISTANT, "customers.lookup", ["stock"]), issuers.id_token(agents.stock.web),
                   "id_token", "", {login, "no_target"})
    yield exchange("token of another client", two, "refused: invalid_request", person, "id_token", ASSISTANT, {login})
    yield exchange("newline after the token", one, looked, person + "\n", "id_token", ASSISTANT, {login})
    yield exchange("workload for itself", agents.worker, issued("worker", CRM, "contacts.read", []), worker, "jwt", CRM,
                   {"none", "anonymous"}, auth="none", client_id="")
    yield exchange("workload for itself, with its id", agents.worker, issued("worker", CRM, "contacts.read", []), worker, "jwt",
                   CRM, {"none"}, auth="none")
    yield exchange("task", one, looked, server.task(one, program.alg), "jwt", ASSISTANT, {"private_key_jwt"},
                   auth="private_key_jwt")
    yield exchange("kept for the second call", one, looked, person, "id_token", ASSISTANT, {login, "keeps"}, twice=True)
    nonce = " with a nonce" if server.nonce == "required" else ""
    yield exchange(f"DPoP{nonce}", one, issued("idp:alice", ASSISTANT, "customers.lookup", ["orchestrator"], True), person,
                   "id_token", ASSISTANT, {login, "dpop"}, dpop=True)


def grants(server, program):
    """The other grant types."""
    agents, issuers, login = server.agents, server.issuers, program.login
    one, two = agents.orchestrator, agents.analyst
    itself = {"grant": CLIENT_CREDENTIALS, "target": ASSISTANT}
    yield Case("client credentials", one, issued("orchestrator", ASSISTANT, "customers.lookup", []),
               {"client_credentials", login}, **itself)
    for secret in ["basic", "post"]:
        yield Case(f"client credentials by {secret}", one, issued("orchestrator", ASSISTANT, "customers.lookup", []),
                   {"client_credentials", secret}, auth=secret, **itself)
    yield Case("client credentials of one that may not", two, "refused: unauthorized_client", {"client_credentials", login},
               **itself)
    by_jwt = {"grant": JWT_BEARER}
    yield Case("jwt-bearer, a workload for itself", agents.worker, issued("worker", CRM, "contacts.read", []),
               {"jwt_bearer", "none", "anonymous"}, auth="none", client_id="", target=CRM, **by_jwt,
               assertion=issuers.attestation(server.issuer, "worker"))
    yield Case("jwt-bearer, for a person", one, issued("idp:alice", ASSISTANT, "customers.lookup", ["orchestrator"]),
               {"jwt_bearer", login}, target=ASSISTANT, assertion=issuers.id_token(one.web), **by_jwt)
    yield Case("jwt-bearer, an ID-JAG of a partner", one,
               issued("partner:alice", ASSISTANT, "customers.lookup", ["orchestrator"]), {"jwt_bearer", login}, target=ASSISTANT,
               assertion=issuers.id_jag(server.issuer, one.id, ASSISTANT, "customers.lookup"), **by_jwt)
    yield Case("jwt-bearer, on behalf of", two, issued("idp:alice", CRM, "contacts.read", ["analyst", "orchestrator"]),
               {"on_behalf_of", login}, target=CRM, assertion=server.token(one), requested_token_use="on_behalf_of", **by_jwt)


def mcp(server, program):
    """Tokens for an MCP server, whose metadata leads to this server (RFC 9728)."""
    one, place = server.agents.orchestrator, server.issuers.mcp(server.name)
    itself = issued("orchestrator", place, "notes.read", [])
    for login in ["basic", "post", "private_key_jwt"]:
        yield Case(f"client credentials by {login}", one, itself, {"client_credentials", login}, grant=CLIENT_CREDENTIALS,
                   target=place, auth=login)
    person = server.issuers.id_token(one.web)
    for login in ["basic", "post"]:
        yield Case(f"jwt-bearer by {login}", one, issued("idp:alice", place, "notes.read", ["orchestrator"]),
                   {"jwt_bearer", login}, grant=JWT_BEARER, target=place, auth=login, assertion=person)
    for login in ["basic", "post"]:
        yield Case(f"ID-JAG by {login}", one, issued("partner:alice", place, "notes.read", ["orchestrator"]),
                   {"jwt_bearer", login}, grant=JWT_BEARER, target=place, auth=login,
                   assertion=server.issuers.id_jag(server.issuer, one.id, place, "notes.read"))
    yield Case("wrong secret", one, "refused: invalid_client", {"client_credentials", "basic"}, grant=CLIENT_CREDENTIALS,
               target=place, auth="basic", client_secret="not-the-secret")
    yield Case("one that may not", server.agents.analyst, "refused: unauthorized_client", {"client_credentials", "basic"},
               grant=CLIENT_CREDENTIALS, target=place, auth="basic")


def logins(server):
    """The first hop by every login, also with ids and secrets that are easily sent wrongly."""
    agents, issuers = server.agents, server.issuers
    looked = issued("idp:alice", ASSISTANT, "customers.lookup", ["orchestrator"])
    one = agents.orchestrator
    for login in ["basic", "post", "private_key_jwt"]:
        yield exchange(f"login by {login}", one, looked, issuers.id_token(one.web), "id_token", ASSISTANT, {login}, auth=login)
    for login in ["basic", "post"]:
        yield exchange(f"wrong secret by {login}", one, "refused: invalid_client", issuers.id_token(one.web), "id_token",
                       ASSISTANT, {login}, auth=login, client_secret="not-the-secret")
        for what, agent in agents.nasty.items():
            expected = issued("idp:alice", ASSISTANT, "customers.lookup", [agent.id])
            yield exchange(f"{what}, by {login}", agent, expected, issuers.id_token(agent.web), "id_token", ASSISTANT,
                           {login, *(["umlaut"] if "umlaut" in what else [])}, auth=login)


def every(server, program):
    """The cases for a program at a server: those that it can do, as it reads them, and those that it cannot with the reason."""
    asked = [*mcp(server, program)] if program.mcp else [*hops(server, program), *grants(server, program), *logins(server)]
    for case in asked:
        needs = [server.scheme, "path" if server.path else "root", *sorted(case.needs)]
        lacking = [program.lacks[need] for need in needs if need in program.lacks]
        told = case.given(case.told.get("auth", program.login))
        target = told.pop("target")
        by = "resource" if "resource" not in program.lacks or "audience" in program.lacks else "audience"
        told |= {"resource": "", "audience": "", by: target}
        if "no_scope" in program.lacks and not told["scope"]:
            told["scope"] = APIS[target or ASSISTANT][0][0]
        yield case, told, lacking[0] if lacking else None
