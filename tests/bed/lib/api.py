"""The few requests that the bed itself makes of its API servers."""

import http.client
import json
import ssl
import urllib.parse

from proc import BedError


class Api:
    """An API server, spoken to with a client certificate."""

    def __init__(self, port, ca, crt, key):
        self.port = port
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.load_cert_chain(crt, key)

    def request(self, method, path, body=None, kind="application/json"):
        """Returns (status, parsed body or text)."""
        c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.tls)
        try:
            data = None if body is None else json.dumps(body)
            c.request(method, path, data, {"Content-Type": kind, "User-Agent": "bed"})
            answer = c.getresponse()
            text = answer.read().decode(errors="replace")
        except http.client.HTTPException as e:
            raise OSError(f"{method} {path}: {e!r}") from e
        finally:
            c.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def ok(self, path):
        status, answer = self.request("GET", path)
        if status == 200:
            return True
        raise BedError(f"GET {path}: {status} {str(answer)[:200]}")

    def get(self, path):
        status, answer = self.request("GET", path)
        if status != 200:
            raise BedError(f"GET {path}: {status} {str(answer)[:200]}")
        return answer

    def apply(self, path, name, body):
        """Creates or changes one object by server-side apply."""
        query = urllib.parse.urlencode({"fieldManager": "bed", "force": "true"})
        status, answer = self.request("PATCH", f"{path}/{name}?{query}", body,
                                      "application/apply-patch+yaml")
        if status not in (200, 201):
            raise BedError(f"apply {path}/{name}: {status} {str(answer)[:300]}")


def http_ok(port, path, timeout=2):
    """Whether a plain HTTP server on loopback answers 200."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request("GET", path)
        return c.getresponse().status == 200
    except http.client.HTTPException as e:
        raise OSError(repr(e)) from e
    finally:
        c.close()
