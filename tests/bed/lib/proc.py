"""Processes of the bed: starting them so that they outlive the caller, knowing
whether they still live, and waiting for them with a bound."""

import os
import signal
import subprocess
import time


START = "--- started"  # a line of the log


class BedError(Exception):
    """Something that the person at the keyboard is told, without a traceback."""


def stat(pid):
    """(state, start time in ticks) of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]


def children(pid):
    """Process ids of the direct children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


class Process:
    """One process of the bed by name. Its pid is in RUN/NAME.pid; beside it lies
    the time it was started, so that a pid used again is never taken for it."""

    def __init__(self, name, run, log):
        self.name = name
        self.pid_file = os.path.join(run, name + ".pid")
        self.born_file = os.path.join(run, name + ".born")
        self.log = os.path.join(log, name + ".log")

    def pid(self):
        """The pid, or None when it does not run. A zombie does not, once its other
        threads are gone too: until then they hold its files and ports."""
        try:
            with open(self.pid_file, encoding="ascii") as f:
                pid = int(f.read())
            with open(self.born_file, encoding="ascii") as f:
                born = f.read().strip()
        except (OSError, ValueError):
            return None
        now = stat(pid)
        runs = now and now[1] == born and (now[0] not in "ZX" or threads(pid) > 1)
        return pid if runs else None

    def start(self, argv, env):
        with open(self.log, "ab") as log:
            log.write(f"{START} {time.strftime('%F %T')} {' '.join(argv)}\n".encode())
            log.flush()
            child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True)
        child.returncode = 0  # it is not ours to wait for; hush the destructor
        born = stat(child.pid)
        write_file(self.born_file, born[1] if born else "gone")
        write_file(self.pid_file, str(child.pid))

    def signal(self, number):
        pid = self.pid()
        if pid is None:
            raise BedError(f"{self.name} does not run")
        os.kill(pid, number)

    def forget(self):
        for path in (self.pid_file, self.born_file):
            if os.path.exists(path):
                os.unlink(path)

    def tail(self):
        """What it said since its last start: the first lines and the last ones."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                lines = [line[:400].rstrip("\n") for line in f]
        except OSError:
            return ""
        starts = [i for i, line in enumerate(lines) if line.startswith(START)]
        lines = lines[starts[-1] + 1:] if starts else lines
        if len(lines) > 20:
            lines[5:-12] = ["..."]
        return "\n".join(lines)

    def rss_mib(self):
        """Resident memory of it and its children, in MiB."""
        total = 0
        pid = self.pid()
        for p in [pid, *children(pid)] if pid else []:
            try:
                with open(f"/proc/{p}/status", encoding="ascii", errors="replace") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
            except OSError:
                pass
        return total // 1024


def write_file(path, text, mode=0o600):
    """Writes a file as a whole or not at all."""
    part = path + ".part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w",
              encoding="utf-8") as f:
        f.write(text)
    os.replace(part, path)


def wait_until(what, ready, process, seconds=60.0, every=0.05):
    """Calls ready() until it returns something true; fails when the process dies
    or the time is over. ready() says why not by raising OSError or BedError."""
    end = time.monotonic() + seconds
    why = ""
    while True:
        try:
            if ready():
                return
        except (OSError, BedError) as e:
            why = f" ({e})"
        if process.pid() is None:
            raise BedError(f"{process.name} died while the bed waited for {what}; "
                           f"its log, {process.log}:\n{process.tail()}")
        if time.monotonic() > end:
            raise BedError(f"{what} did not come within {seconds:.0f} s{why}; "
                           f"its log, {process.log}:\n{process.tail()}")
        time.sleep(every)


def stop_all(processes, kill=False, patience=2.5):
    """Ends processes side by side: SIGTERM, and SIGKILL for what is left after
    `patience` seconds, or at once with `kill`."""
    left = {p: p.pid() for p in processes}
    first = signal.SIGKILL if kill else signal.SIGTERM
    families = {p: [pid, *children(pid)] for p, pid in left.items() if pid}
    for pid in filter(None, left.values()):
        send(pid, signal.SIGCONT)
        send(pid, first)
    end = time.monotonic() + patience
    while time.monotonic() < end and any(p.pid() for p in processes):
        time.sleep(0.02)
    for p in processes:
        if p.pid():
            send(p.pid(), signal.SIGKILL)
    end = time.monotonic() + 5
    while any(p.pid() for p in processes):
        if time.monotonic() > end:
            names = ", ".join(p.name for p in processes if p.pid())
            raise BedError(f"does not die of SIGKILL: {names}")
        time.sleep(0.02)
    for p, family in families.items():
        for child in family[1:]:
            orphan_gone(child)
        p.forget()
    for p in processes:
        p.forget()


def orphan_gone(pid):
    """Sees to it that a child whose parent has ended ends too."""
    before = stat(pid)
    end = time.monotonic() + 1
    while before and stat(pid) == before and time.monotonic() < end:
        time.sleep(0.02)
    now = stat(pid)
    if before and now and now[1] == before[1] and now[0] not in "ZX":
        send(pid, signal.SIGKILL)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
