"""Processes in groups of their own, each bounded in time and ended by its group."""

import os
import signal
import socket
import subprocess


def free_port():
    """A port of loopback that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Processes:
    """What was started and is to be ended."""

    def __init__(self):
        self.running = []

    def start(self, command, log, **options):
        """Starts what runs until the end; its output goes to the file `log`."""
        with open(log, "ab") as output:
            options.setdefault("stdout", output)
            process = subprocess.Popen([str(part) for part in command], stderr=output, start_new_session=True, **options)
        self.running.append(process)
        return process

    def end(self, process):
        """Ends a process and what it started: asked first, then told."""
        for how in [signal.SIGTERM, signal.SIGKILL]:
            try:
                os.killpg(process.pid, how)
            except ProcessLookupError:
                pass
            try:
                process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        if process in self.running:
            self.running.remove(process)

    def end_all(self):
        for process in list(self.running):
            self.end(process)


def run(command, seconds, cwd=None, environment=None, stdin=None):
    """Runs a program to its end. Status (None where its time ran out), output and errors as text."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, cwd=cwd,
                               env=environment, start_new_session=True, errors="replace")
    try:
        output, errors = process.communicate(stdin, timeout=seconds)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        return None, output, f"{errors}\nnot done after {seconds} s"
