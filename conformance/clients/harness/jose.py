"""Keys of P-256 and RSA, and JWTs signed with them (RFC 7515, RFC 7518), as far as test issuers need them.

P-256 is computed here, for the standard library has none. It is neither fast nor safe from who can measure time, and its
keys are worth nothing.
"""

import base64
import hashlib
import json
import secrets
import subprocess
from pathlib import Path

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def b64(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _add(one, two):
    if one is None or two is None:
        return one or two
    (x1, y1), (x2, y2) = one, two
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if one == two else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def _times(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    return result


class EcKey:
    """A key of P-256; signs ES256."""

    alg = "ES256"

    def __init__(self, kid, secret=None):
        self.kid, self.secret = kid, secret or secrets.randbelow(N - 1) + 1
        self.x, self.y = (number.to_bytes(32, "big") for number in _times(self.secret, G))

    def public_jwk(self):
        return {"kty": "EC", "crv": "P-256", "x": b64(self.x), "y": b64(self.y), "kid": self.kid, "use": "sig",
                "alg": self.alg}

    def private_jwk(self):
        return {**self.public_jwk(), "d": b64(self.secret.to_bytes(32, "big"))}

    def pem(self):
        """PKCS#8 with the public key in it (RFC 5915, RFC 5958)."""
        head = bytes.fromhex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420")
        der = head + self.secret.to_bytes(32, "big") + bytes.fromhex("a14403420004") + self.x + self.y
        lines = base64.encodebytes(der).decode().replace("\n", "")
        wrapped = "\n".join(lines[at:at + 64] for at in range(0, len(lines), 64))
        return f"-----BEGIN PRIVATE KEY-----\n{wrapped}\n-----END PRIVATE KEY-----\n"

    def sign(self, data):
        digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
        while True:
            once = secrets.randbelow(N - 1) + 1
            r = _times(once, G)[0] % N
            s = pow(once, -1, N) * (digest + r * self.secret) % N
            if r and s:
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @classmethod
    def read(cls, path, kid):
        """The key of a PEM file, by `openssl`, which knows every form of it."""
        shown = subprocess.run(["openssl", "ec", "-in", str(path), "-noout", "-text"], capture_output=True, text=True,
                               check=True, timeout=30).stdout
        digits = shown.split("priv:")[1].split("pub:")[0].replace(":", "")
        return cls(kid, int("".join(digits.split()), 16))


class RsaKey:
    """An RSA key of 2,048 bits, made by `openssl`, for clients that know nothing else."""

    alg = "RS256"

    def __init__(self, kid, folder: Path):
        self.kid, self.path = kid, folder / f"{kid}.rsa.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                        str(self.path)], capture_output=True, check=True, timeout=60)
        shown = subprocess.run(["openssl", "rsa", "-in", str(self.path), "-noout", "-modulus"], capture_output=True,
                               text=True, check=True, timeout=30).stdout
        self.modulus = bytes.fromhex(shown.strip().split("=")[1])

    def public_jwk(self):
        return {"kty": "RSA", "n": b64(self.modulus), "e": "AQAB", "kid": self.kid, "use": "sig", "alg": self.alg}

    def pem(self):
        return self.path.read_text()

    def sign(self, data):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.path)], input=data, capture_output=True,
                              check=True, timeout=30).stdout


def thumbprint(jwk):
    """RFC 7638 §3, of a key of P-256."""
    return b64(hashlib.sha256(json.dumps({name: jwk[name] for name in ["crv", "kty", "x", "y"]},
                                         separators=(",", ":")).encode()).digest())


def jwt(key, claims, typ="JWT"):
    """A signed JWT."""
    parts = [b64(json.dumps(part).encode()) for part in ({"alg": key.alg, "kid": key.kid, "typ": typ}, claims)]
    return ".".join([*parts, b64(key.sign(".".join(parts).encode()))])


def claims_of(token):
    """The claims of a JWT, not verified."""
    return json.loads(unb64(token.split(".")[1]))


def header_of(token):
    """The header of a JWT, not verified."""
    return json.loads(unb64(token.split(".")[0]))
