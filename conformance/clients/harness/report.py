"""The report: a line of JSON per case, a table within 80 columns, every failure in full."""

import json
from collections import Counter
from pathlib import Path


class Report:
    """What came of everything so far, also in a file."""

    def __init__(self, path: Path):
        self.lines, self.path, self.programs = [], path, {}
        path.write_text("")

    def add(self, program, version, case, expected, outcome, ok, detail="", **more):
        """Takes a case; `ok` is true, false, or None where the library does not offer it or it could not be tried."""
        line = {"program": program, "version": version, "case": case, "expected": expected, "outcome": outcome, "ok": ok,
                "detail": detail, **more}
        self.lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def failed(self):
        return [line for line in self.lines if line["ok"] is False]

    def table(self):
        """One line for each program: how many cases passed, failed, are not offered."""
        counts = {}
        for line in self.lines:
            counts.setdefault((line["program"], line["version"]), Counter())[line["ok"]] += 1
        lines = [f"{'program':<34} {'version':<16} {'ok':>7} {'FAILED':>8} {'not offered':>11}"]
        for (program, version), count in counts.items():
            lines.append(f"{program[:34]:<34} {version[:16]:<16} {count[True]:>7} {count[False]:>8} {count[None]:>11}")
        return "\n".join(lines)

    def told(self):
        """Everything for a person: not offered, with reasons; failures; the table; the totals."""
        parts = []
        reasons = Counter((line["program"], line["detail"]) for line in self.lines if line["ok"] is None)
        if reasons:
            parts.append("\n".join(["Not tried, and why:"] + [f"  {program}: {why} ({count})"
                                                             for (program, why), count in reasons.items()]))
        failures = {}
        for line in self.failed():
            what = tuple(line[part] for part in ["program", "version", "case", "expected", "outcome"])
            failures.setdefault(what, []).append(line)
        said = set()
        for (program, version, case, expected, came), lines in failures.items():
            where = ", ".join(line.get("server", "") for line in lines)
            parts.append(f"FAILED {program} {version}, {case} ({where})\n  expected {expected}\n  came     {came}")
            if lines[0]["detail"] not in said:
                parts[-1] += f"\n  {lines[0]['detail']}"
            said.add(lines[0]["detail"])
        counts = Counter(line["ok"] for line in self.lines)
        parts += [self.table(), f"{counts[True]} passed, {counts[False]} failed, {counts[None]} skipped"]
        return "\n\n".join(parts)
