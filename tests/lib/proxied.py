# SPDX-License-Identifier: Apache-2.0
"""A fault proxy before an API server of a bed."""
import contextlib
import json
import os
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))


class Proxied:
    """`env`: what `bed env` says (BED_DIR, BED_A_SERVER, …). Its files are in `folder`, which is made where it
    is missing: rules.json, log, port. It listens from the beginning on, and at the same port each time it is
    started again."""

    def __init__(self, folder, side, env, rules):
        self.folder, self.side, self.env, self.ca = folder, side, env, env[f"BED_{side.upper()}_CA"]
        self.child, self.port = None, 0
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(self.at("rules.json"), "w", encoding="ascii") as f:
            json.dump(rules, f)
        self.start()

    def start(self):
        pki = os.path.join(self.env["BED_DIR"], self.side, "pki")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.at("port"))
        with open(self.at("proxy.err"), "ab") as err:
            self.child = subprocess.Popen(  # pylint: disable=consider-using-with
                [os.path.join(HERE, "faultproxy"), "--upstream", self.env[f"BED_{self.side.upper()}_SERVER"],
                 "--ca", self.ca, "--cert", f"{pki}/apiserver.crt", "--key", f"{pki}/apiserver.key", "--rules",
                 self.at("rules.json"), "--log", self.at("log"), "--port-file", self.at("port"),
                 "--port", str(self.port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        end = time.monotonic() + 60
        while not os.path.exists(self.at("port")):
            if self.child.poll() is not None or time.monotonic() > end:
                self.cut()
                raise RuntimeError("the fault proxy does not listen")
            time.sleep(0.02)
        with open(self.at("port"), encoding="ascii") as f:
            self.port = int(f.read())

    @property
    def server(self):
        return f"https://127.0.0.1:{self.port}"

    def swallow(self):
        """From now on until go_on() nothing is answered, and nothing refused: as where packets are lost."""
        os.kill(self.child.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.child.pid, signal.SIGCONT)

    def cut(self):
        """Its connections end, and new ones are refused."""
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child = None

    def at(self, name):
        return os.path.join(self.folder, name)

    def entries(self):
        """The log so far."""
        if not os.path.exists(self.at("log")):
            return []
        with open(self.at("log"), encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def kubeconfig(self, token):
        """Path of one that leads through the proxy: context, cluster and user are called after the side."""
        x = self.side
        with open(os.open(self.at("kubeconfig"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
            json.dump({"apiVersion": "v1", "kind": "Config",
                       "clusters": [{"name": x, "cluster": {"server": self.server, "certificate-authority": self.ca}}],
                       "users": [{"name": x, "user": {"token": token}}],
                       "contexts": [{"name": x, "context": {"cluster": x, "user": x}}]}, f)
        return self.at("kubeconfig")
