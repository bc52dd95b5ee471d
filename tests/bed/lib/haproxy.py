"""The load balancer pair: HAProxy with a live and a pre-live side."""

import csv
import os
import re
import shutil
import socket
import subprocess

import pki
from api import http_ok
from proc import BedError, stop_all, wait_until, write_file

# Shares of b in percent. Live leads to a, pre-live to the idle cluster, b.
MAP = "frontend.pct_b 0\nfrontend.prelive_b 100\n"

SAN = ("DNS:*.example.com,DNS:example.com,DNS:pulse.example.com,DNS:www.example.com,"
       "DNS:localhost,IP:127.0.0.1")

# Who comes back is led to the same side: the bucket is a hash of the cookie sid,
# or of the source address, never a random number.
CONFIG = """\
global
    stats socket "{dir}/admin.sock" mode 600 level admin expose-fd listeners
    maxconn 8000
    hard-stop-after 30s
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    option idle-close-on-response
    option forwardfor
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    timeout queue 5s

frontend live
    bind 127.0.0.1:{live}
    bind 127.0.0.1:{live_tls} ssl crt "{dir}/edge.pem" alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-var(txn.bucket) src,xxh32,mod(100)
    http-request set-var(txn.bucket) req.cook(sid),xxh32,mod(100) if {{ req.cook(sid) -m found }}
    http-request set-var(txn.pct_b) str(frontend.pct_b),map_str_int({dir}/tandem.map,0)
    use_backend paas_b if {{ var(txn.bucket),sub(txn.pct_b) lt 0 }}
    default_backend paas_a

frontend prelive
    bind 127.0.0.1:{prelive}
    bind 127.0.0.1:{prelive_tls} ssl crt "{dir}/edge.pem" alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-var(txn.pct_b) str(frontend.prelive_b),map_str_int({dir}/tandem.map,100)
    use_backend paas_b if {{ var(txn.pct_b) -m int ge 50 }}
    default_backend paas_a

backend paas_a
    option httpchk GET /__health
    default-server check inter 500ms fall 2 rise 2
    server a1 127.0.0.1:{ingress_a}

backend paas_b
    option httpchk GET /__health
    default-server check inter 500ms fall 2 rise 2
    server b1 127.0.0.1:{ingress_b}

frontend stats
    bind 127.0.0.1:{stats}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /
    stats refresh 5s
"""


def program():
    path = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise BedError("no haproxy here; scripts/setup installs it")
    return path


def version():
    out = subprocess.run([program(), "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+\.\d+\.\d+)", out)
    return found.group(1) if found else ""


class Haproxy:
    def __init__(self, bed):
        self.bed = bed
        self.process = bed.process("lb", "haproxy")
        self.ca = pki.Authority(self.path())

    def path(self, *parts):
        return self.bed.path("haproxy", *parts)

    def create(self):
        self.ca.create("bed-edge")
        crt, key = self.ca.issue("edge", "/CN=example.com", "serverAuth", SAN)
        pem = ""
        for part in (crt, key):
            with open(part, encoding="ascii") as f:
                pem += f.read()
        write_file(self.path("edge.pem"), pem)
        ports = {name.replace("-", "_"): self.bed.port(name)
                 for name in ("live", "live-tls", "prelive", "prelive-tls", "stats")}
        write_file(self.path("haproxy.cfg"), CONFIG.format(
            dir=self.path(), ingress_a=self.bed.port("a-ingress"),
            ingress_b=self.bed.port("b-ingress"), **ports))
        self.wipe()

    def wipe(self):
        """Back to: live leads to a, pre-live to b."""
        write_file(self.path("tandem.map"), MAP)

    def launch(self):
        if self.process.pid() is None:
            self.process.start([program(), "-W", "-f", self.path("haproxy.cfg")],
                               self.bed.child_env())

    def wait(self):
        wait_until("haproxy", lambda: http_ok(self.bed.port("stats"), "/metrics"), self.process)

    def command(self, line):
        """One command on the admin socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.path("admin.sock"))
            s.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def sees(self, cluster):
        """Whether its checks have found out that a cluster's ingress answers."""
        for row in csv.DictReader(self.command("show stat").splitlines()):
            if row["# pxname"] == f"paas_{cluster}" and row["svname"] == f"{cluster}1":
                return row["status"] == "UP"
        return False

    def wait_for_clusters(self, clusters):
        """Until requests get through to each of these whose ingress runs."""
        for x in clusters:
            if self.process.pid() and self.bed.process(x, "ingress").pid():
                wait_until(f"haproxy's way to cluster {x}", lambda x=x: self.sees(x),
                           self.process, seconds=10)

    def start(self, _piece="haproxy", wait=True):
        self.launch()
        if wait:
            self.wait()

    def up(self):
        self.start()

    def stop(self, _pieces=(), kill=False):
        stop_all([self.process], kill)
