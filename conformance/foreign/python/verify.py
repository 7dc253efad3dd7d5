#!/usr/bin/env python3
"""Verifies an evidence bundle without the ledger, and without anything but Python's standard library.

    verify.py --key VKEY [--key VKEY]... FILE

A bundle is canonical JSON (RFC 8785): records of one transaction, the proof that each is in a signed Merkle tree (RFC 6962,
C2SP tlog-checkpoint and signed-note), chosen disclosures (RFC 9901), and the JSON Schema of each kind of record. What is
printed is one JSON object; the exit code is 0 when everything verifies, 1 when something does not, 2 on misuse.
"""

import base64
import hashlib
import json
import re
import sys

FORMAT = "countersign evidence bundle 1"
FILE_BYTES_MAX = 256 << 20
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")

# SHA-256 of the canonical form of each schema, so that a bundle cannot bring one of its own.
SCHEMAS = {
    "configuration": "f6ae1e819c7f913985a9a1f8d18db34850862d1744f5b6293e7c596430dfc60c",
    "death": "ef3497fc484cf19d22dc44048d9fb5d6fb5568242ee4f8f88be607ff85ca87c2",
    "epoch": "82d07060e8d116c01f66eb8b0d143a0371721a11ae810e74796ad0bc68adb642",
    "hop": "6f54f63d0e2c66e0e40c85888d3aecb4f41a439b29002aa5e38b92f75af38e02",
    "key": "99e462451147d33d06e02da7c7d4177327bb72550a929cbf35a5b9dc11ae7801",
    "refusal": "0f1d8556d579b92130a11f24585427e99b1e8e84e0a85cb9cd9febba8164aaa9",
    "resumption": "566d1a0ca5019687061763ecc5140dd27ed88fa57250ca8bf5b576fc29c0baa9",
    "retention": "6a0f8d50dbeee707ba572d761cb8ad6222e0b5b7eb4cc0954e645089b1f71d7b",
    "retirement": "e9047bc6077b29d93c0db40353f9e89c64cdd02957dc8c61d1f58c91eb837f45",
    "state": "9bac4a01f5a72d53c0383cd2b7a2fdd19a15b3e071790a59fe89ae4de82b9515",
    "suspension": "b24e413c343cd8011b7e6dc34f2d97f56460d8e266e808089c022e13188385f4",
    "task": "a9d2241bcc59d0cccba0ab5fbb91bb935e8d7fa676d3736589d783ef784a0c75",
    "withheld": "da9f737c1d718fbab205c10efec9e8e78964c3fc2266af52c0f292e8af2c6be2",
}


class Wrong(Exception):
    """What is not in order, and the member of the bundle where."""

    def __init__(self, place, what):
        super().__init__(what)
        self.place, self.what = place, what


# --- Ed25519 (RFC 8032 section 5.1), verification only -------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def point_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P != 0:
        return None
    return P - x if x & 1 != sign else x


def decompressed(data):
    number = int.from_bytes(data, "little")
    y = number & ((1 << 255) - 1)
    x = recover_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verifies(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    key, nonce = decompressed(public), decompressed(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = point_times(s, BASE), point_add(nonce, point_times(h, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ----------------------------------------------


def from_base64(text):
    """The bytes, of one spelling only."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 with other end bits")
    return data


def read_key(vkey):
    """Name, id and public key of a verifier key."""
    name, short, encoded = vkey.split("+", 2)
    data = from_base64(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if data[:1] != b"\x01" or len(data) != 33 or key_id.hex() != short or not name:
        raise ValueError("not an Ed25519 verifier key")
    return name, key_id, data[1:]


def open_checkpoint(note, keys, place):
    """Size and root of a checkpoint that one of the keys signed."""
    text, blank, signatures = note.partition("\n\n")
    text += "\n"
    if not blank or not signatures.endswith("\n") or "\r" in note:
        raise Wrong(place, "the checkpoint is no signed note")
    verified = False
    for line in signatures[:-1].split("\n"):
        dash, name, encoded = (line.split(" ") + ["", ""])[:3]
        try:
            data = from_base64(encoded)
        except ValueError:
            raise Wrong(place, "a signature of the checkpoint is malformed") from None
        if dash != "\u2014" or line.count(" ") != 2 or len(data) < 5:
            raise Wrong(place, "a signature of the checkpoint is malformed")
        for key_name, key_id, public in keys:
            if (name, data[:4]) == (key_name, key_id):
                if not ed25519_verifies(public, text.encode(), data[4:]):
                    raise Wrong(place, "a signature of the checkpoint is not that of its key")
                verified = True
    if not verified:
        raise Wrong(place, "none of the keys given signed the checkpoint")
    lines = text[:-1].split("\n")
    if len(lines) != 3 or lines[0] != keys[0][0]:
        raise Wrong(place, "the checkpoint is not of this log")
    try:
        root = from_base64(lines[2])
    except ValueError:
        raise Wrong(place, "the root of the checkpoint is malformed") from None
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]) or len(root) != 32:
        raise Wrong(place, "the checkpoint is malformed")
    return int(lines[1]), root


# --- the Merkle tree (RFC 6962 section 2.1, verified as RFC 9162 section 2.1.3.2 and 2.1.4.2 say) -------------------


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def includes(leaf, index, path, size, root):
    if index >= size:
        return False
    at, last, found = index, size - 1, leaf
    for node in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(node, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, node)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def extends(old_size, old_root, new_size, new_root, path):
    if not 0 < old_size < new_size:
        return False
    path = list(path)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, node)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def hashes(texts, place):
    try:
        path = [from_base64(text) for text in texts]
    except ValueError:
        raise Wrong(place, "a hash of the path is malformed") from None
    if any(len(node) != 32 for node in path):
        raise Wrong(place, "a hash of the path is malformed")
    return path


# --- JSON --------------------------------------------------------------------------------------------------------------


def canonical(value):
    """RFC 8785, of values that hold no other numbers than integers and only names in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def shaped(value, required, optional=()):
    """True for an object with these members, of these types."""
    known = dict(required) | dict(optional)
    if type(value) is not dict or any(name not in known for name in value):
        return False
    return all(name in value for name in dict(required)) and all(type(value[name]) is known[name] for name in value)


def is_number(value):
    return type(value) is int and 0 <= value < 1 << 64


def texts(values):
    return type(values) is list and all(type(value) is str for value in values)


def read_bundle(data):
    unreadable = Wrong("file", "it is no evidence bundle")
    try:
        text = data.decode("utf-8")
        bundle = json.loads(text)
    except (ValueError, RecursionError):
        raise unreadable from None
    members = {"checkpoint": str, "count": int, "format": str, "records": list, "schemas": list, "txn": str}
    if not shaped(bundle, members, {"earlier": list}) or not is_number(bundle["count"]):
        raise unreadable
    for one in bundle.get("earlier", []):
        if not shaped(one, {"checkpoint": str, "path": list}) or not texts(one["path"]):
            raise unreadable
    for one in bundle["records"]:
        shape = shaped(one, {"index": int, "path": list, "record": str}, {"disclosures": list})
        if not shape or not is_number(one["index"]) or not texts(one["path"]) or not texts(one.get("disclosures", [])):
            raise unreadable
    if bundle["format"] != FORMAT:
        raise Wrong("format", "it is of another version")
    empty = bundle.get("earlier") == [] or any(one.get("disclosures") == [] for one in bundle["records"])
    if empty or canonical(bundle) + "\n" != text:
        raise Wrong("file", "it is not in its canonical form")
    return bundle


# --- JSON Schema (draft 2020-12), as much of it as the schemas of records use -------------------------------------------

TYPES = {"object": dict, "array": list, "string": str, "integer": int}


def valid(schema, value, whole):
    def count(schemas):
        return sum(valid(one, value, whole) for one in schemas)

    def holds(keyword, rule):
        if keyword in ("$schema", "$id", "title", "description", "$defs"):
            return True
        if keyword == "$ref":
            return valid(whole["$defs"][rule.rsplit("/", 1)[1]], value, whole)
        if keyword == "const":
            return type(value) is type(rule) and value == rule
        if keyword == "enum":
            return value in rule
        if keyword == "type":
            return type(value) is TYPES[rule]
        if keyword == "minimum":
            return type(value) is not int or value >= rule
        if keyword == "maximum":
            return type(value) is not int or value <= rule
        if keyword == "pattern":
            return type(value) is not str or re.search(rule.removesuffix("$") + r"\Z", value) is not None
        if keyword == "minItems":
            return type(value) is not list or len(value) >= rule
        if keyword == "maxItems":
            return type(value) is not list or len(value) <= rule
        if keyword == "uniqueItems":
            return type(value) is not list or all(value.index(one) == at for at, one in enumerate(value))
        if keyword == "items":
            return type(value) is not list or all(valid(rule, one, whole) for one in value)
        if keyword == "required":
            return type(value) is not dict or all(name in value for name in rule)
        if keyword == "properties":
            return type(value) is not dict or all(valid(rule[name], value[name], whole) for name in value if name in rule)
        if keyword == "additionalProperties":
            return type(value) is not dict or all(name in schema["properties"] for name in value)
        if keyword == "minProperties":
            return type(value) is not dict or len(value) >= rule
        if keyword == "maxProperties":
            return type(value) is not dict or len(value) <= rule
        if keyword == "oneOf":
            return count(rule) == 1
        if keyword == "anyOf":
            return count(rule) >= 1
        return False

    return all(holds(keyword, rule) for keyword, rule in schema.items())


# --- the bundle ---------------------------------------------------------------------------------------------------------


def personal(value):
    """Every digest under which something personal stands in a record."""
    if type(value) is list:
        return {digest for one in value for digest in personal(one)}
    if type(value) is not dict:
        return set()
    found = set()
    for name, member in value.items():
        if name == "_sd" and type(member) is list:
            found |= {digest for digest in member if type(digest) is str}
        elif name == "..." and type(member) is str:
            found.add(member)
        else:
            found |= personal(member)
    return found


def check_disclosures(record, disclosures, place):
    free = personal(record)
    for text in disclosures:
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
                raise ValueError("not base64url of one spelling")
            parts = json.loads(data)
        except ValueError:
            raise Wrong(place, "a disclosure is malformed") from None
        named = type(parts) is list and len(parts) == 3 and type(parts[1]) is str
        if not (named or type(parts) is list and len(parts) == 2) or type(parts[0]) is not str:
            raise Wrong(place, "a disclosure is malformed")
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        if digest not in free:
            raise Wrong(place, "a disclosure is not of this record, or stands there twice")
        free.remove(digest)


def read_record(proved, size, root, place):
    entry = proved["record"].encode()
    if not includes(leaf_hash(entry), proved["index"], hashes(proved["path"], place), size, root):
        raise Wrong(place, f"it is not entry {proved['index']} of the tree that was signed, or the path was changed")
    try:
        record = json.loads(entry)
    except ValueError:
        raise Wrong(place, "it is no record") from None
    if type(record) is not dict or canonical(record).encode() != entry or record.get("kind") not in SCHEMAS:
        raise Wrong(place, "it is no record")
    check_disclosures(record, proved.get("disclosures", []), place)
    return record


def transaction(record):
    """The transaction that a record belongs to; what ended belongs to one if all of it does."""
    if "txn" in record:
        return record["txn"]
    things = record.get("ends", record.get("things", []))
    named = {thing.get("txn") for thing in things}
    return named.pop() if len(named) == 1 else None


class Story:
    """What the records refer to among each other."""

    def __init__(self, txn):
        self.txn, self.tokens, self.tasks = txn, {}, set()

    def add(self, index, record, place):
        kind, txn = record["kind"], transaction(record)
        if txn != self.txn and not (txn is None and kind == "key"):
            raise Wrong(place, "it is a record of something else")
        if kind == "hop":
            if record.get("parent", None) not in (None, *self.tokens):
                raise Wrong(place, "the hop that it came of is not there: the chain is cut")
            if record.get("task", None) not in (None, *self.tasks):
                raise Wrong(place, "the task that it is in is not there: the chain is cut")
            self.tokens[record["jti"]] = index
        if kind == "task":
            if record.get("parent", None) not in (None, *self.tasks):
                raise Wrong(place, "the task that it is a child of is not there: the chain is cut")
            self.tasks.add(record["task"])
            self.tokens[record["jti"]] = index
        if kind == "withheld" and self.tokens.get(record["jti"]) != record["index"]:
            raise Wrong(place, "the hop that was withheld is not there")


def check_schemas(schemas, records):
    kinds = sorted({record["kind"] for record in records})
    if len(schemas) != len(kinds):
        raise Wrong("schemas", "there is not one for each kind of record")
    for number, (kind, schema) in enumerate(zip(kinds, schemas)):
        if hashlib.sha256(canonical(schema).encode()).hexdigest() != SCHEMAS[kind]:
            raise Wrong(f"schemas/{number}", f"it is not the schema of records of kind {kind}")
    for number, record in enumerate(records):
        schema = schemas[kinds.index(record["kind"])]
        if not valid(schema, record, schema):
            raise Wrong(f"records/{number}", "it is not valid by the schema of its kind")


def check_earlier(bundle, keys, size, root):
    before = 0
    for number, one in enumerate(bundle.get("earlier", [])):
        place = f"earlier/{number}"
        old_size, old_root = open_checkpoint(one["checkpoint"], keys, place)
        path = hashes(one["path"], place)
        if not before < old_size < size:
            raise Wrong(place, "earlier checkpoints are not in the order of their sizes, below the newest")
        if not extends(old_size, old_root, size, root, path):
            raise Wrong(place, "the newest checkpoint does not extend it, or the proof of that was changed")
        before = old_size


def verify(data, keys):
    bundle = read_bundle(data)
    size, root = open_checkpoint(bundle["checkpoint"], keys, "checkpoint")
    check_earlier(bundle, keys, size, root)
    if bundle["count"] != len(bundle["records"]) or not bundle["records"]:
        raise Wrong("count", "it does not say how many records there are")
    if not UUID.match(bundle["txn"]):
        raise Wrong("txn", "it is no UUID")
    story, records, before = Story(bundle["txn"]), [], -1
    for number, proved in enumerate(bundle["records"]):
        place = f"records/{number}"
        if proved["index"] <= before:
            raise Wrong(place, "the records are not in the order of the ledger, or one stands there twice")
        before = proved["index"]
        record = read_record(proved, size, root, place)
        story.add(before, record, place)
        records.append(record)
    check_schemas(bundle["schemas"], records)
    return {"ok": True, "txn": bundle["txn"], "records": len(records), "size": size, "root": base64.b64encode(root).decode()}


def main(arguments):
    keys, files = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--key":
            keys.append(next(rest, ""))
        else:
            files.append(argument)
    try:
        keys = [read_key(key) for key in keys]
    except ValueError:
        keys = []
    if len(files) != 1 or not keys or len({name for name, _, _ in keys}) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(files[0], "rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    try:
        if len(data) > FILE_BYTES_MAX:
            raise Wrong("file", "it is too long")
        print(json.dumps(verify(data, keys)))
    except Wrong as wrong:
        print(json.dumps({"ok": False, "place": wrong.place, "reason": wrong.what}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
