"""The kubeconfig that tests and people use: DIR/kubeconfig."""

import base64
import time

import pki
from cluster import Cluster
from proc import write_file
from state import CLUSTERS, USERS

HOUR = 3600


def encoded(path):
    with open(path, "rb") as f:
        return base64.b64encode(f.read()).decode()


def write(bed):
    clusters, users, contexts = [], [], []

    def context(name, cluster, user):
        contexts.append(f"- name: {name}\n  context: {{cluster: {cluster}, user: {user}}}\n")

    def token_user(name, token):
        users.append(f'- name: {name}\n  user:\n    token: "{token}"\n')

    for x in CLUSTERS:
        c = Cluster(bed, x)
        name = f"paas-{x}"
        ca = encoded(c.ca.crt)
        dead = f"https://127.0.0.1:{bed.port(f'{x}-unreachable')}"
        for entry, server in ((name, c.server()), (f"{name}-unreachable", dead)):
            clusters.append(f"- name: {entry}\n  cluster:\n    server: {server}\n"
                            f"    certificate-authority-data: {ca}\n")
        users.append(f"- name: {name}\n  user:\n"
                     f"    client-certificate-data: {encoded(c.path('pki', 'admin.crt'))}\n"
                     f"    client-key-data: {encoded(c.path('pki', 'admin.key'))}\n")
        context(name, name, name)
        context(f"{name}-unreachable", f"{name}-unreachable", name)
        for user in USERS:
            token_user(f"{name}-{user}", bed.state["tokens"][user])
            context(f"{name}-{user}", name, f"{name}-{user}")
        past = int(time.time()) - 2 * HOUR
        token_user(f"{name}-expired", pki.service_account_token(
            c.path("pki", "sa.key"), c.issuer(), past, HOUR))
        context(f"{name}-expired", name, f"{name}-expired")
    write_file(bed.path("kubeconfig"), "apiVersion: v1\nkind: Config\ncurrent-context: paas-a\n"
               + "clusters:\n" + "".join(clusters) + "users:\n" + "".join(users)
               + "contexts:\n" + "".join(contexts))
