"""Validators of tokens: the tokens that each is shown, and what it must make of them."""

import base64
import json
import queue
import subprocess
import threading
import time
import urllib.error
import urllib.request

from . import jose
from .processes import free_port

ASSISTANT, CRM, PLAIN = "https://assistant.example", "https://crm.example", "https://plain-jwt.example"
AUDIENCES = {"signature": ASSISTANT, "introspection": ASSISTANT, "status list": CRM, "stock": PLAIN}
SECONDS_MAX = 30


def tokens(server, audience):
    """Each case with its token and whether that is to be accepted."""
    agent = server.agents.orchestrator
    good = server.token(agent, audience)
    head, _, signature = good.split(".")
    claims = jose.claims_of(good)
    now = int(time.time())
    signing = server.signing_key(jose.header_of(good)["kid"])
    impostor = jose.EcKey(signing.kid)
    typ = jose.header_of(good)["typ"]
    older = {**claims, "iat": now - 7500, "exp": now - 7200}
    fresh = {**claims, "iat": now, "exp": now + 300}
    unsigned = jose.b64(json.dumps({"alg": "none", "typ": typ}).encode())
    other = CRM if audience == ASSISTANT else ASSISTANT
    yield "good", good, True
    yield "tampered", ".".join([head, jose.b64(json.dumps({**claims, "sub": "idp:mallory"}).encode()), signature]), False
    yield "expired", jose.jwt(signing, older, typ), False
    yield "wrong audience", server.token(agent, other), False
    yield "foreign issuer", jose.jwt(server.issuers.keys["idp"], {**fresh, "iss": server.issuers.issuer("idp")}, typ), False
    yield "foreign key under our name", jose.jwt(impostor, fresh, typ), False
    yield "our key, another issuer", jose.jwt(signing, {**fresh, "iss": "https://login.acme.example"}, typ), False
    yield "unsigned", f"{unsigned}.{jose.b64(json.dumps(fresh).encode())}.", False


class Lines:
    """A validator that is asked a line at a time."""

    def __init__(self, program, server, where, setup, processes, environment):
        command = [where / program.command[0] if "/" in program.command[0] else program.command[0], *program.command[1:], setup]
        self.log = setup.with_suffix(".log")
        self.process = processes.start(command, self.log, cwd=where, env=environment, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                self.answers.put(json.loads(line))
            except ValueError:
                pass
        self.answers.put(None)

    def ask(self, case, token):
        """The subject as which the token is accepted, or None; and what was said of it."""
        try:
            self.process.stdin.write(json.dumps({"case": case, "token": token}) + "\n")
            self.process.stdin.flush()
            answer = self.answers.get(timeout=SECONDS_MAX)
        except (queue.Empty, OSError):
            answer = None
        if answer is None:
            return "nothing was said", self.log.read_text(errors="replace")[-600:]
        return answer.get("sub"), answer.get("detail", "")


class Gateway:
    """A gateway that lets requests through or does not; its files are those of the recipe with other addresses in them."""

    def __init__(self, program, server, where, setup, processes, environment):
        self.port = free_port()
        folder = setup.with_suffix("")
        folder.mkdir(exist_ok=True)
        basic = base64.b64encode(f"{server.agents.analyst.id}:{server.agents.analyst.secret}".encode()).decode()
        for file in program.files:
            text = (where / file).read_text()
            for placeholder, value in {
                    "https://sts.acme.example": server.issuer, "address: sts.acme.example, port_value: 443":
                    f"address: 127.0.0.1, port_value: {server.port}", "/etc/ssl/certs/ca-certificates.crt": str(server.ca),
                    "sni: sts.acme.example": "sni: localhost", "sts.acme.example": "localhost", "8080": str(self.port),
                    "YW5hbHlzdDphbmFseXN0cy1zZWNyZXQ=": basic,
                    "load_module modules": "load_module /usr/lib/nginx/modules"}.items():
                text = text.replace(placeholder, value)
            (folder / file).write_text(text)
        self.log = setup.with_suffix(".log")
        command = [where / program.command[0] if "/" in program.command[0] else program.command[0],
                   *[part.replace("FOLDER", str(folder)) for part in program.command[1:]]]
        self.process = processes.start(command, self.log, cwd=folder, env=environment)

    def ask(self, case, token):
        """As `Lines.ask`, with the subject in the place of what a gateway does not tell."""
        last = time.monotonic() + SECONDS_MAX
        while True:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers={"Authorization": f"Bearer {token}"})
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10):
                    return jose.claims_of(token)["sub"], ""
            except urllib.error.HTTPError as error:
                # While it has no keys yet, it says so or closes.
                if error.code in (401, 403):
                    return None, f"{error.code} {error.read(300).decode(errors='replace')}"
                said = f"{error.code} {error.read(300).decode(errors='replace')}"
            except OSError as error:
                said = str(error)
            if time.monotonic() > last or self.process.poll() is not None:
                return "nothing was said", said + self.log.read_text(errors="replace")[-600:]
            time.sleep(0.2)


def words(subject):
    return "refused" if subject is None else f"accepted: {subject}"


class Session:
    """A validator at a server, from its start to its last token."""

    def __init__(self, program, server, target, folder, processes, environment, report):
        self.program, self.server, self.report = program, server, report
        self.audience = AUDIENCES[program.how]
        setup = folder / f"{server.name}-{''.join(part if part.isalnum() else '-' for part in program.name)}.json"
        setup.write_text(json.dumps({
            "issuer": server.issuer, "audience": self.audience, "how": program.how,
            "ca": str(server.ca) if server.context else "",
            "client_id": server.agents.analyst.id, "client_secret": server.agents.analyst.secret}))
        kind = Gateway if program.files else Lines
        where = target / f"validators-{program.language}"
        self.validator = kind(program, server, where, setup, processes, environment)
        self.processes = processes

    def say(self, case, token, accepted):
        """Shows a token and reports what came of it."""
        expected = words(jose.claims_of(token)["sub"] if accepted else None)
        came, detail = self.validator.ask(case, token)
        ok = words(came) == expected
        self.report.add(self.program.name, self.program.version(), case, expected, words(came), ok, detail,
                        server=self.server.name)
        return ok

    def begin(self):
        return [self.say(*what) for what in tokens(self.server, self.audience)]

    def revoked(self):
        """A token that is revoked between two looks; only who asks somebody learns of it."""
        case = "revoked"
        if self.program.how not in ("introspection", "status list"):
            self.report.add(self.program.name, self.program.version(), case, "refused", "not offered", None,
                            "it checks signatures alone: a token counts until it expires", server=self.server.name)
            return
        agent = self.server.agents.orchestrator
        token = self.server.token(agent, self.audience)
        self.say("before it is revoked", token, True)
        status, answer = self.server.post("/revoke", {"token": token, **self.server.assertion(agent)}, raw=True)
        if status != 200:
            raise OSError(f"{self.server.name} does not revoke: {status} {answer}")
        last = time.monotonic() + SECONDS_MAX
        while self.validator.ask(case, token)[0] is not None and time.monotonic() < last:
            time.sleep(0.2)
        self.say(case, token, False)

    def end(self):
        self.processes.end(self.validator.process)


def every(chosen, server, target, folder, processes, environment, report, binary):
    """All validators at a server, before and after another key signs."""
    able = []
    for program in chosen:
        if server.scheme in program.lacks:
            report.add(program.name, program.version(), "all", "", "not offered", None, program.lacks[server.scheme],
                       server=server.name)
        else:
            able.append(program)
    server.publish_next_key(binary)
    sessions = []
    try:
        for program in able:
            session = Session(program, server, target, folder, processes, environment, report)
            sessions.append(session)
            began = time.monotonic()
            oks = session.begin()
            session.revoked()
            print(f"{program.name} at {server.name}: {len(oks)} tokens, {oks.count(False)} failed, "
                  f"{time.monotonic() - began:.1f} s", flush=True)
        server.end_first_key(binary)
        for session in sessions:
            session.say("another key signs", server.token(server.agents.orchestrator, session.audience), True)
    finally:
        for session in sessions:
            session.end()
