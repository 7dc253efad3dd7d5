"""Asks a validator about every token that comes in, a line of JSON each, and says what it makes of it."""

import json
import sys


def run(make):
    """`make` builds the validator once, as an API does when it starts; it takes a token and gives its `sub`."""
    with open(sys.argv[1]) as file:
        setup = json.load(file)
    validate = make(setup)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"case": asked["case"]}
        try:
            answer["sub"] = validate(asked["token"])
        except Exception as error:
            answer["detail"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(answer), flush=True)
