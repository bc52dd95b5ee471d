"""Keys, certificates and tokens, made with the openssl program."""

import base64
import hashlib
import json
import os
import subprocess

from proc import BedError

CONFIG = """\
[req]
distinguished_name = dn
[dn]
"""
DAYS = "3650"


def openssl(*args, data=None):
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, check=False)
    if done.returncode:
        raise BedError(f"openssl {args[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class Authority:
    """A CA in a folder: DIR/NAME.crt and DIR/NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.crt = os.path.join(folder, name + ".crt")
        self.key = os.path.join(folder, name + ".key")
        self.config = os.path.join(folder, "openssl.cnf")

    def create(self, common_name):
        with open(self.config, "w", encoding="ascii") as f:
            f.write(CONFIG)
        self._request(self.crt, self.key, f"/CN={common_name}",
                      "basicConstraints=critical,CA:TRUE",
                      "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")

    def issue(self, name, subject, usage, san=None):
        """Makes DIR/NAME.crt and .key; usage is clientAuth or serverAuth."""
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                      f"extendedKeyUsage={usage}"]
        if san:
            extensions.append(f"subjectAltName={san}")
        crt, key = (os.path.join(self.folder, name + end) for end in (".crt", ".key"))
        self._request(crt, key, subject, *extensions, issuer=("-CA", self.crt, "-CAkey", self.key))
        return crt, key

    def _request(self, crt, key, subject, *extensions, issuer=()):
        added = [word for e in extensions for word in ("-addext", e)]
        openssl("req", "-x509", "-config", self.config, "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS, "-sha256", "-subj", subject,
                "-keyout", key, "-out", crt, *issuer, *added)
        os.chmod(key, 0o600)


def rsa_pair(private, public):
    openssl("genrsa", "-out", private, "2048")
    os.chmod(private, 0o600)
    openssl("rsa", "-in", private, "-pubout", "-out", public)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def service_account_token(private, issuer, now, lifetime):
    """A ServiceAccount's JWT as kube-apiserver signs them, for default/default."""
    der = openssl("rsa", "-in", private, "-pubout", "-outform", "DER")
    head = {"alg": "RS256", "kid": b64url(hashlib.sha256(der).digest()).decode()}
    claims = {
        "aud": [issuer], "exp": now + lifetime, "iat": now, "nbf": now, "iss": issuer,
        "sub": "system:serviceaccount:default:default",
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": {"name": "default", "uid": "00000000-0000-0000-0000-000000000000"},
        },
    }
    body = b".".join(b64url(json.dumps(part).encode()) for part in (head, claims))
    signature = openssl("dgst", "-sha256", "-sign", private, data=body)
    return (body + b"." + b64url(signature)).decode()
