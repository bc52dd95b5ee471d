# SPDX-License-Identifier: Apache-2.0
"""A fault proxy before an API server of a bed, as a context manager that starts and ends it."""
import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))


class Proxied:
    """`env`: what `bed env` says (BED_DIR, BED_A_SERVER, …). Its files are in `folder`: rules.json, log, port."""

    def __init__(self, folder, side, env, rules):
        self.folder, self.side, self.ca = folder, side, env[f"BED_{side.upper()}_CA"]
        with open(self.at("rules.json"), "w", encoding="ascii") as f:
            json.dump(rules, f)
        pki = os.path.join(env["BED_DIR"], side, "pki")
        with open(self.at("proxy.err"), "wb") as err:
            self.child = subprocess.Popen(  # pylint: disable=consider-using-with
                [os.path.join(HERE, "faultproxy"), "--upstream", env[f"BED_{side.upper()}_SERVER"], "--ca", self.ca,
                 "--cert", f"{pki}/apiserver.crt", "--key", f"{pki}/apiserver.key", "--rules", self.at("rules.json"),
                 "--log", self.at("log"), "--port-file", self.at("port")], stdout=subprocess.DEVNULL, stderr=err)
        end = time.monotonic() + 60
        while not os.path.exists(self.at("port")):
            if self.child.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError("the fault proxy does not listen")
            time.sleep(0.02)
        with open(self.at("port"), encoding="ascii") as f:
            self.server = f"https://127.0.0.1:{f.read().strip()}"

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

    def close(self):
        self.child.terminate()
        self.child.wait()
