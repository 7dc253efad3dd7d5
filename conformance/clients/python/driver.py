"""Runs an exchange for every case of the file that is named, and says what came of it, a line of JSON each."""

import json
import re
import sys

ERRORS = re.compile(r"\b(invalid_[a-z_]+|unauthorized_client|unsupported_[a-z_]+|use_dpop_nonce|access_denied)\b")


def error_of(error):
    """The OAuth error code of an exception: its own attribute, or what its text begins with."""
    own = getattr(error, "error", None)
    found = ERRORS.search(str(error))
    return own if isinstance(own, str) else found[1] if found else None


def run(exchange):
    with open(sys.argv[1]) as file:
        setup = json.load(file)
    for case in setup["cases"]:
        line = {"case": case["case"]}
        try:
            line["token"] = exchange(setup, case)
        except Exception as error:
            line |= {"error": error_of(error), "detail": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(line), flush=True)
