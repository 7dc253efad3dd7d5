"""A Countersign server under test: its configuration, its agents with their credentials, and the process."""

import base64
import hashlib
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
import ssl

from . import jose
from .processes import free_port, run

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_CREDENTIALS = "client_credentials"
TYPE = "urn:ietf:params:oauth:token-type:"

# Client ids and secrets as people make them, by what is hard about them. Ids are visible ASCII, secrets may hold anything
# that a client can send; those with anything but ASCII in them are beyond RFC 6749 (appendix A.2).
NASTY = {
    "an id with a colon": ("mail:agent", "kHf3_8s-Qz"),
    "an id with a slash": ("mail/agent", "kHf3_8s-Qz"),
    "an id with a plus": ("mail+agent", "kHf3_8s-Qz"),
    "an id with a percent": ("mail%41agent", "kHf3_8s-Qz"),
    "an id that is a URL": ("https://agents.acme.example/mail?v=1", "kHf3_8s-Qz"),
    "an id that is a SPIFFE ID": ("spiffe://acme.example/ns/prod/sa/mail", "kHf3_8s-Qz"),
    "a secret with colon and slash": ("mail-1", "a:b/c:d"),
    "a secret with a plus": ("mail-2", "one+two"),
    "a secret with a percent": ("mail-5", "50%25"),
    "a secret with a space": ("mail-3", "two words"),
    "a secret with an umlaut": ("mail-4", "Schlüssel"),
}

APIS = {
    "https://assistant.example": (["customers.lookup", "customers.note"], 'agent = "analyst"'),
    "https://crm.example": (["contacts.read", "contacts.delete"], "status_list = true"),
    "https://vault.example": (["vault.open"], ""),
    "https://rs256.example": (["rows.read"], 'signing_alg = "RS256"'),
    "https://plain-jwt.example": (["rows.read"], 'typ = "JWT"'),
}

DERIVE = """
[[derive]]
from = { api = "https://assistant.example", scope = "customers.lookup" }
to   = "contacts.read"
"""

POLICY = """
permit (principal in Team::"agents", action, resource in Api::"https://assistant.example");
permit (principal in Team::"agents", action, resource in Api::"https://crm.example");
permit (principal in Team::"agents", action, resource in Api::"https://rs256.example");
permit (principal in Team::"agents", action, resource in Api::"https://plain-jwt.example");
permit (principal in Team::"agents", action, resource in Api::"@MCP@");
permit (principal == Agent::"orchestrator", action == Action::"present_actor", resource == Agent::"researcher");
forbid (principal, action, resource == Scope::"https://crm.example contacts.delete");
"""


class Agent:
    """An agent with a secret and, where it has any, keys."""

    def __init__(self, name, secret, keys=(), workload=None, for_itself=False, more=""):
        self.id, self.secret, self.keys, self.workload, self.for_itself = name, secret, keys, workload, for_itself
        self.more = more
        self.web = "web-" + hashlib.sha256(name.encode()).hexdigest()[:12]

    def file(self):
        digest = base64.urlsafe_b64encode(hashlib.sha256(self.secret.encode()).digest()).rstrip(b"=").decode()
        lines = [f"id = {json.dumps(self.id)}", 'owner = "dana@acme.example"', 'team = "agents"', 'kind = "ai_agent"',
                 self.more,
                 *([f"grant_types = {json.dumps([EXCHANGE, JWT_BEARER, CLIENT_CREDENTIALS])}"] if self.for_itself else []),
                 "[[foreign_clients]]", 'trust = "idp"', f'client = "{self.web}"']
        for method in ["client_secret_basic", "client_secret_post"]:
            lines += ["[[login]]", f'method = "{method}"', f'secret_hash = "sha256:{digest}"']
        if self.keys:
            jwks = json.dumps({"keys": [key.public_jwk() for key in self.keys]})
            lines += ["[[login]]", 'method = "private_key_jwt"', 'assertion_audience = ["token_endpoint"]',
                      f"jwks = '{jwks}'"]
        if self.workload:
            lines += ["[[login]]", 'method = "workload_jwt"', 'trust = "workloads"', f'match = {{ sub = "{self.workload}" }}']
        return "\n".join(lines) + "\n"


class Agents:
    """Everybody who is registered, the same at every server."""

    def __init__(self, folder):
        self.orchestrator = Agent("orchestrator", "orchestrators-secret_1",
                                  [jose.EcKey("orchestrator-ec"), jose.RsaKey("orchestrator-rsa", folder)], for_itself=True)
        self.researcher = Agent("researcher", "researchers-secret_1", [jose.EcKey("researcher-ec")], "researcher")
        self.analyst = Agent("analyst", "analysts-secret_1", [jose.EcKey("analyst-ec"), jose.RsaKey("analyst-rsa", folder)])
        self.worker = Agent("worker", "workers-secret_1", [], "worker")
        self.stock = Agent("stock", "stocks-secret_1", [jose.EcKey("stock-ec"), jose.RsaKey("stock-rsa", folder)],
                           more='default_target = "https://assistant.example"')
        self.nasty = {what: Agent(*pair) for what, pair in NASTY.items()}

    def all(self):
        return [self.orchestrator, self.researcher, self.analyst, self.worker, self.stock, *self.nasty.values()]


class Server:
    """One server: `name`, its `issuer`, and whether it asks for DPoP nonces."""

    def __init__(self, name, scheme, path, folder, agents, issuers, nonce):
        self.name, self.folder, self.agents, self.issuers, self.nonce = name, folder / name, agents, issuers, nonce
        self.port, self.ops, self.path, self.scheme = free_port(), free_port(), path, scheme
        self.issuer = f"{scheme}://127.0.0.1:{self.port}{path}"
        self.ca = folder / "ca.pem"
        issuers.authorization_servers[name] = self.issuer
        self.context = ssl.create_default_context(cafile=str(self.ca)) if scheme == "https" else None
        # No proxy stands between this machine and itself.
        handlers = [urllib.request.ProxyHandler({})]
        handlers += [urllib.request.HTTPSHandler(context=self.context)] if self.context else []
        self.opener = urllib.request.build_opener(*handlers)

    def write(self):
        """Writes the configuration."""
        conf = self.folder / "conf"
        for part in ["trust", "agents", "apis", "policies"]:
            (conf / part).mkdir(parents=True, exist_ok=True)
        tls = f'[tls]\ncertificate = "{self.folder.parent}/server.pem"\nkey = "{self.folder.parent}/server.key.pem"\n'
        (conf / "countersign.toml").write_text(
            f'issuer = "{self.issuer}"\n[listen]\npublic = "127.0.0.1:{self.port}"\nops = "127.0.0.1:{self.ops}"\n'
            f'{tls if self.scheme == "https" else ""}[keys]\ndir = "../keys"\n[dpop]\nnonce = "{self.nonce}"\n'
            '[files]\ntrust = "trust"\nagents = "agents"\napis = "apis"\npolicies = "policies"\n')
        idp = ", ".join(f'"{agent.web}"' for agent in self.agents.all())
        self._trust("idp", f"[{idp}]", 'require = { email_verified = true }\nsubject = { kind = "user", id = "{sub}" }')
        self._trust("workloads", f'["{self.issuer}"]',
                    'presenters = ["orchestrator"]\nsubject = { kind = "workload", id = "{sub}" }')
        self._trust("partner", f'["{self.issuer}"]', 'subject = { kind = "user", id = "{sub}" }', "id_jag")
        for at, agent in enumerate(self.agents.all()):
            (conf / "agents" / f"{at}.toml").write_text(agent.file())
        apis = {**APIS, self.issuers.mcp(self.name): (["notes.read"], "")}
        for at, (name, (scopes, more)) in enumerate(apis.items()):
            table = "".join(f'"{scope}" = {{ data = [], effect = "read" }}\n' for scope in scopes)
            derive = DERIVE if "crm" in name else ""
            (conf / "apis" / f"{at}.toml").write_text(f'id = "{name}"\ndestination = "internal"\n'
                                                     f'default_scopes = ["{scopes[0]}"]\n{more}\n[scopes]\n{table}{derive}')
        (conf / "policies" / "all.cedar").write_text(POLICY.replace("@MCP@", self.issuers.mcp(self.name)))
        return conf / "countersign.toml"

    def _trust(self, name, audiences, more, kind="oidc"):
        (self.folder / "conf" / "trust" / f"{name}.toml").write_text(
            f'name = "{name}"\nkind = "{kind}"\nissuer = "{self.issuers.issuer(name)}"\naudiences = {audiences}\n{more}\n'
            "[keys]\ndiscovery = true\n")

    def start(self, binary, processes, seconds=60):
        """Starts the server and waits until it answers."""
        command = [binary, "serve", "--config", self.write(), "--data", self.folder / "data"]
        process = processes.start(command, self.folder / "server.log")
        last = time.monotonic() + seconds
        while time.monotonic() < last and process.poll() is None:
            try:
                self.get(self.issuer + "/jwks")
                return
            except OSError:
                time.sleep(0.1)
        raise OSError(f"the server {self.name} does not answer: {(self.folder / 'server.log').read_text()[-2000:]}")

    def get(self, url):
        """The JSON at an address."""
        with self.opener.open(url, timeout=30) as answer:
            return json.load(answer)

    def signing_key(self, kid):
        """The server's own private key, for tokens that only it could make."""
        return jose.EcKey.read(self.folder / "keys" / f"{kid}.pem", kid)

    def _keys(self, binary, *arguments):
        status, output, errors = run([binary, "keys", *arguments, "--data", self.folder / "data"], 60)
        if status != 0:
            raise OSError(f"countersign keys {arguments[0]}: {output}{errors}")

    def publish_next_key(self, binary):
        """Publishes the next signing key, as is done hours before it signs."""
        self.first_key = jose.header_of(self.token(self.agents.orchestrator))["kid"]
        self._keys(binary, "rotate", "signing")
        self._until(lambda: sum(key["alg"] == "ES256" for key in self.get(self.issuer + "/jwks")["keys"]) == 2, "the next key")

    def end_first_key(self, binary):
        """Ends the first signing key, so that the next one signs at once."""
        self._keys(binary, "revoke", self.first_key)
        self._until(lambda: jose.header_of(self.token(self.agents.orchestrator))["kid"] != self.first_key, "another key")

    def _until(self, holds, what, seconds=30):
        last = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > last:
                raise OSError(f"{self.name} waited in vain for {what}")
            time.sleep(0.1)

    def post(self, path, form, raw=False):
        """What a form at a path of the issuer is answered: status and JSON, or whatever it is where that is `raw`."""
        request = urllib.request.Request(self.issuer + path, urllib.parse.urlencode(form).encode())
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, answer.read() if raw else json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def assertion(self, agent, alg="ES256"):
        """The parameters of `private_key_jwt`, by the agent's key of that algorithm."""
        now = int(time.time())
        claims = {"iss": agent.id, "sub": agent.id, "aud": self.issuer, "iat": now, "exp": now + 60,
                  "jti": secrets.token_urlsafe(16)}
        return {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jose.jwt(next(key for key in agent.keys if key.alg == alg), claims)}

    def token(self, agent, resource="https://assistant.example", **more):
        """An access token of an agent on behalf of alice."""
        form = {"grant_type": EXCHANGE, "subject_token": self.issuers.id_token(agent.web), "resource": resource,
                "subject_token_type": TYPE + "id_token", **self.assertion(agent), **more}
        status, answer = self.post("/token", form)
        if status != 200:
            raise OSError(f"{self.name} gives no token: {answer}")
        return answer["access_token"]

    def task(self, agent, alg):
        """The token of a task that an agent opened with its key of that algorithm."""
        details = [{"type": "task", "authority": [{"api": "https://assistant.example", "scopes": ["customers.lookup"]}],
                    "purpose": "trying clients", "expires_in": 600, "budget": {"exchanges": 20}}]
        form = {"subject_token": self.issuers.id_token(agent.web), "subject_token_type": TYPE + "id_token",
                "authorization_details": json.dumps(details), **self.assertion(agent, alg)}
        status, answer = self.post("/tasks", form)
        if status not in (200, 201):
            raise OSError(f"{self.name} opens no task: {answer}")
        return answer["task_token"]
