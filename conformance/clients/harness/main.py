"""The order of a run: what is wanted, servers, installs, clients, report."""

import json
import os
import shutil
import signal
import sys
import time

from . import cases, certificates, install, programs, recipes, validators
from .issuer import Issuers
from .processes import Processes, run as run_program
from .report import Report
from .server import Agents, Server

PROGRAM_SECONDS_MAX = 300

# The servers: plain and by TLS, at the root and under a path, without and with DPoP nonces.
SERVERS = [("http", "http", "", "off"), ("https-path", "https", "/tenant/a", "required"), ("https", "https", "", "off"),
           ("http-path", "http", "/tenant/a", "required")]
QUICK_SERVERS = 2


def wanted(arguments):
    """The programs that were asked for."""
    every = [*programs.PROGRAMS, *programs.VALIDATORS]
    names = {name for program in every for name in [program.name, program.language, program.room]}
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        sys.exit(f"no program is called {unknown[0]}; --list shows them")
    if arguments.names:
        return [program for program in every if {program.name, program.language, program.room} & set(arguments.names)]
    return [program for program in every if program.quick or not arguments.quick]


def run(root, binary, arguments):
    """Runs everything. The exit code."""
    if arguments.recipes:
        recipes.write(root)
        print("\n".join(recipes.complaints(root)) or "every page shows what is run")
        return 0
    chosen = wanted(arguments)
    if arguments.list:
        print("\n".join(f"{program.name} ({program.room}/{program.language})" for program in chosen))
        return 0
    target = root / "target" / "clients"
    folder = target / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report, processes, issuers = Report(target / "report.jsonl"), Processes(), Issuers()
    for complaint in recipes.complaints(root):
        report.add("docs/recipes", "", complaint, "the code that is run", "other code", False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        ready = prepared(root, target, chosen, report, install.QUICK_SECONDS_MAX if arguments.quick else install.SECONDS_MAX)
        certificates.make(folder)
        agents = Agents(folder)
        servers = [Server(*what[:3], folder, agents, issuers, what[3])
                   for what in SERVERS[:QUICK_SERVERS if arguments.quick else None]]
        for server in servers:
            server.start(binary(), processes)
        for program in ready:
            for server in servers if program.room == "clients" else []:
                tried(program, server, target, folder, report)
        asked = [program for program in ready if program.room == "validators"]
        for server in servers if asked else []:
            validators.every(asked, server, target, folder, processes, environment(server), report, binary())
    except OSError as error:
        print(f"the servers do not start: {error}", file=sys.stderr)
        return 2
    finally:
        processes.end_all()
        issuers.close()
    print(report.told())
    unobtained = any(line["case"] == "install" for line in report.lines)
    return 1 if report.failed() or (arguments.strict and unobtained) else 0


def prepared(root, target, chosen, report, seconds):
    """The programs whose libraries could be had; the others are named in the report."""
    reasons, broken = {}, {}
    for room, language in dict.fromkeys((program.room, program.language) for program in chosen):
        try:
            took = install.prepare(root / "conformance" / room / language, target / f"{room}-{language}", language, seconds)
            print(f"{room}/{language}: ready after {took:.0f} s", flush=True)
        except install.Unobtainable as error:
            reasons[room, language] = str(error)
            print(f"{room}/{language}: NOT OBTAINED: {error}", flush=True)
        except install.Broken as error:
            broken[room, language] = str(error)
            print(f"{room}/{language}: BROKEN: {error}", flush=True)
    able = []
    for program in chosen:
        language = program.room, program.language
        reason = reasons.get(language)
        if language in broken:
            report.add(program.name, program.version(), "build", "built", "not built", False, broken[language])
        elif reason is None:
            able.append(program)
        else:
            report.add(program.name, program.version(), "install", "installed", "not obtained", None, reason)
    return able


def tried(program, server, target, folder, report):
    """Runs a program at a server and judges each of its lines."""
    began = time.monotonic()
    version, given, expected = program.version(), [], {}
    for case, told, lacking in cases.every(server, program):
        if lacking is None:
            given.append(told)
            expected[case.name] = case.expected
        else:
            report.add(program.name, version, case.name, case.expected, "not offered", None, lacking, server=server.name)
    setup = folder / "setup.json"
    setup.write_text(json.dumps({"issuer": server.issuer, "ca": str(server.ca) if server.context else "", "cases": given,
                                 "mcp": server.issuers.mcp(server.name)}))
    where = target / f"clients-{program.language}"
    command = [where / program.command[0] if "/" in program.command[0] else program.command[0], *program.command[1:], setup]
    status, output, errors = run_program(command, PROGRAM_SECONDS_MAX, cwd=where, environment=environment(server))
    lines = {}
    for line in output.splitlines():
        try:
            read = json.loads(line)
            lines[read["case"]] = read
        except (ValueError, KeyError, TypeError):
            errors += line + "\n"
    for name, wanted_outcome in expected.items():
        line = lines.get(name, {"detail": f"the program said nothing of it; status {status}: {errors[-800:]}"})
        came = cases.outcome(line)
        report.add(program.name, version, name, wanted_outcome, came, came == wanted_outcome,
                   "" if came == wanted_outcome else line.get("detail", ""), server=server.name)
    failed = sum(1 for line in report.lines if line["program"] == program.name and line.get("server") == server.name
                 and line["ok"] is False)
    print(f"{program.name} at {server.name}: {len(expected)} cases, {failed} failed, "
          f"{time.monotonic() - began:.1f} s", flush=True)


def environment(server):
    """The environment of a program: the private authority as each language is told of it, and no proxy on the way."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    if server.context is None:
        return kept
    return {**kept, **{name: str(server.ca) for name in ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"]}}
