"""Runs `exchange.sh` for every case of the file that is named, and says what came of it, a line of JSON each."""

import json
import os
import subprocess
import sys
import tempfile

NAMES = ["auth", "client_id", "client_secret", "subject_token_type", "actor_token", "actor_token_type", "resource", "scope",
         "grant", "requested_token_use"]

with open(sys.argv[1]) as file:
    setup = json.load(file)
for case in setup["cases"]:
    with tempfile.NamedTemporaryFile("w") as token:
        token.write(case["subject_token"] or case["assertion"])
        token.flush()
        environment = {**os.environ, **{name.upper(): case[name] for name in NAMES}, "ISSUER": setup["issuer"],
                       "CA": setup["ca"], "SUBJECT_TOKEN_FILE": token.name,
                       "ASSERTION_FILE": token.name}
        ran = subprocess.run(["sh", "exchange.sh"], env=environment, capture_output=True, text=True, timeout=60)
    line = {"case": case["case"]}
    try:
        answer = json.loads(ran.stdout)
        line |= {"token": answer["access_token"]} if "access_token" in answer else {"error": answer["error"], "detail": ran.stdout}
    except ValueError:
        line |= {"error": None, "detail": ran.stderr + ran.stdout}
    print(json.dumps(line), flush=True)
