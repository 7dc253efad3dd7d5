"""A private certificate authority and the certificate of 127.0.0.1 and localhost, by `openssl`."""

from .processes import run


def make(folder):
    """Writes `ca.pem`, `server.pem` and `server.key.pem` to a folder."""
    def openssl(*arguments):
        status, _, errors = run(["openssl", *arguments], 60, cwd=folder)
        if status != 0:
            raise OSError(f"openssl {arguments[0]}: {errors.strip()}")

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-new", *curve, "-keyout", "server.key.pem", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "server.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
                                       "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key.pem", "-CAcreateserial", "-out",
            "server.pem", "-days", "2", "-extfile", "server.ext")
