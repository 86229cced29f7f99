#!/usr/bin/env python3
"""A gateway beside the FTP helper of the kernel and plain NAT, in one lab and one run. See README."""
import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

WORK = os.environ.get("BENCH_WORK", "/var/tmp/ftpbench")
BIN = WORK + "/bin"
USER, PASSWORD = "bench", "bench"
CLIENT, PUBLIC = "44.1.1.44", "44.1.1.1"
INSIDE, SERVER = "33.1.1.1", "33.1.1.33"
LOW, HIGH = 20000, 31999

# Each lane is what stands on the router, and what the server is told.
LANES = {
    "routed": "no translation: the client dials the server itself",
    "nat": "destination NAT of port 21 and of the passive range, the server tells the public address; no helper",
    "kernel-alg": "destination NAT of port 21, nf_conntrack_ftp and nf_nat_ftp",
    "gateway-kernel": "towpath gateway --data kernel",
    "gateway-user": "towpath gateway --data user",
}
NAT = """table ip nat {
    chain arriving { type nat hook prerouting priority dstnat; iifname "out" ip daddr %(public)s tcp dport { %(ports)s } dnat to %(server)s; }
    chain leaving { type nat hook postrouting priority srcnat; oifname "out" snat to %(public)s; }
}"""
HELPER = """table ip helper {
    ct helper ftp { type "ftp" protocol tcp; }
    chain arriving { type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp"; }
}"""


def run(*argv, **kw):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **kw).stdout


class Lab:
    """client -- router -- server, each a network namespace."""

    made = 0

    def __init__(self, lane, home):
        self.lane, self.home = lane, home
        Lab.made += 1
        self.ns = {who: f"tpbench{os.getpid()}-{Lab.made}-{who}" for who in ("client", "router", "server")}
        self.children = []

    def on(self, who, *argv):
        return run("ip", "netns", "exec", self.ns[who], *argv)

    def start(self, who, *argv):
        p = subprocess.Popen(["ip", "netns", "exec", self.ns[who], *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.children.append(p)
        return p

    def __enter__(self):
        try:
            return self.build()
        except BaseException:
            self.__exit__()
            raise

    def build(self):
        for n in self.ns.values():
            run("ip", "netns", "add", n)
            run("ip", "-n", n, "link", "set", "lo", "up")
        for side, (host, at, far) in {"out": ("client", PUBLIC, CLIENT), "in": ("server", INSIDE, SERVER)}.items():
            run("ip", "link", "add", side, "netns", self.ns["router"], "type", "veth", "peer", "name", "eth0", "netns", self.ns[host])
            run("ip", "-n", self.ns["router"], "addr", "add", at + "/24", "dev", side)
            run("ip", "-n", self.ns["router"], "link", "set", side, "up")
            run("ip", "-n", self.ns[host], "addr", "add", far + "/24", "dev", "eth0")
            run("ip", "-n", self.ns[host], "link", "set", "eth0", "up")
            run("ip", "-n", self.ns[host], "route", "add", "default", "via", at)
        self.on("router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules, told = "", ["--passive-ports", f"{LOW}-{HIGH}"]
        if self.lane == "nat":
            rules = NAT % {"public": PUBLIC, "server": SERVER, "ports": f"21, {LOW}-{HIGH}"}
            told += ["--external", PUBLIC]
        elif self.lane == "kernel-alg":
            rules = HELPER + "\n" + NAT % {"public": PUBLIC, "server": SERVER, "ports": "21"}
        if rules:
            self.on_stdin("router", rules, "nft", "-f", "-")
        server = self.start("server", BIN + "/towpath", "serve", self.home, "--listen", ":21", "--user", f"{USER}:{PASSWORD}",
                            "--log-level", "error", "--max-sessions", "8000", "--max-per-address", "8000", *told)
        self.listening("server", SERVER)
        self.pid = None
        if self.lane.startswith("gateway"):
            plane = self.lane.split("-")[1]
            g = self.start("router", BIN + "/towpath", "gateway", "--listen", PUBLIC + ":21", "--to", SERVER, "--data", plane, "--log-level", "error")
            self.pid = g.pid
            self.listening("router", PUBLIC)
        self.target = SERVER if self.lane == "routed" else PUBLIC
        return self

    def on_stdin(self, who, text, *argv):
        p = subprocess.run(["ip", "netns", "exec", self.ns[who], *argv], input=text, text=True, capture_output=True)
        if p.returncode:
            raise RuntimeError(f"{argv}: {p.stderr}\n{text}")

    def listening(self, who, addr):
        """Waits until somebody greets there; a port that is open says little."""
        probe = f"import socket; s = socket.create_connection(('{addr}', 21), 5); assert s.recv(3) == b'220'"
        for _ in range(100):
            with contextlib.suppress(subprocess.CalledProcessError):
                return self.on(who, sys.executable, "-c", probe)
            if self.children[-1].poll() is not None:
                raise RuntimeError(f"{who}: {shlex.join(self.children[-1].args)} has ended")
            time.sleep(0.1)
        raise RuntimeError(f"nobody greets at {addr} of {who}")

    def load(self, measure, *flags):
        before = cpu()
        out = subprocess.run(["ip", "netns", "exec", self.ns["client"], BIN + "/loadgen", measure, "-addr", self.target + ":21",
                              "-user", USER, "-pass", PASSWORD, "-home", self.home, *flags], capture_output=True, text=True)
        try:
            r = json.loads(out.stdout)
        except ValueError:
            return {"ok": False, "error": (out.stderr or out.stdout).strip()}
        r["machine_cpu_s"] = cpu() - before
        return r

    def __exit__(self, *_):
        for p in reversed(self.children):
            p.kill()
            p.wait()
        for n in self.ns.values():
            subprocess.run(["ip", "netns", "del", n], capture_output=True)


def cpu():
    """Processor time of the whole machine: what the kernel does for a lane is nobody's process."""
    with open("/proc/stat") as f:
        t = [int(x) for x in f.readline().split()[1:9]]
    return (sum(t) - t[3] - t[4]) / os.sysconf("SC_CLK_TCK")


# What the others are compared with, if it takes part.
BASE = "kernel-alg"


def in_turn(lanes, n):
    """The lanes in the order of round n: each next one runs backwards, and every lane comes to every place."""
    lanes = lanes[n // 2 % len(lanes):] + lanes[:n // 2 % len(lanes)]
    return lanes[::-1] if n % 2 else lanes


def measures(o):
    big = ["-name", "big.bin", "-size", str(o.mib << 20)]
    return {
        "get-passive": ["download", *big],
        "get-active": ["download", "-active", *big],
        "put-passive": ["upload", *big],
        "put-active": ["upload", "-active", *big],
        "sessions-passive": ["visit", "-conc", "8", "-seconds", str(o.seconds)],
        "sessions-active": ["visit", "-active", "-conc", "8", "-seconds", str(o.seconds)],
        "noop-us": ["noop", "-n", str(o.commands)],
        "pasv-us": ["asks", "-n", str(o.commands)],
        "at-once": ["crowd", "-n", str(o.crowd)],
    }


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=7, help="of all but the files")
    p.add_argument("--files", type=int, default=20, help="how many times the big file goes each way")
    p.add_argument("--mib", type=int, default=1024, help="length of the big file")
    p.add_argument("--seconds", type=float, default=2, help="how long sessions are counted")
    p.add_argument("--commands", type=int, default=10000, help="NOOP, and PASV, in a row")
    p.add_argument("--crowd", type=int, default=2000, help="sessions at once")
    p.add_argument("--lanes", default=",".join(LANES))
    p.add_argument("--only", help="these measures, comma separated")
    p.add_argument("--out", help="write all samples to this file, as JSON")
    p.add_argument("--report", nargs="+", help="tables of saved runs, pooled")
    o = p.parse_args()
    if o.report:
        samples = []
        for n, name in enumerate(o.report):
            with open(name) as f:
                samples += [{**s, "run": n} for s in json.load(f)["samples"]]
        return report(samples)
    samples = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as home:
        os.mkdir(home + "/up")
        with open(home + "/one", "w") as f:
            f.write("1")
        with open(home + "/big.bin", "wb") as f:
            for _ in range(o.mib):
                f.write(os.urandom(1 << 20))
        lanes = o.lanes.split(",")

        def take(lab, name, n):
            r = lab.load(*measures(o)[name])
            samples.append({**r, "round": n, "lane": lab.lane, "measure": name})
            print(f"{n} {lab.lane} {name}: {r.get('value', 0):.1f} {r.get('unit', '')} {r.get('error', '')}", file=sys.stderr)
            with contextlib.suppress(FileNotFoundError):
                os.remove(home + "/up/in.bin")

        for name in measures(o):
            if o.only and name not in o.only.split(","):
                continue
            if name.startswith(("get", "put")):
                # Files go by turns through labs that all stand there: a sample takes less than a
                # second, so what else the machine does meets one lane as it does its neighbour.
                with contextlib.ExitStack() as stack:
                    labs = {lane: stack.enter_context(Lab(lane, home)) for lane in lanes}
                    for n in range(o.files):
                        for lane in in_turn(lanes, n):
                            take(labs[lane], name, n)
                continue
            for n in range(o.rounds):
                for lane in in_turn(lanes, n):
                    # A lab for each: connections in TIME_WAIT slow down what comes next.
                    with Lab(lane, home) as lab:
                        take(lab, name, n)
    if o.out:
        with open(o.out, "w") as f:
            json.dump({"lanes": LANES, "samples": samples}, f, indent=1)
    report(samples)


def report(samples):
    lanes = [x for x in LANES if any(s["lane"] == x for s in samples)]
    names = list(dict.fromkeys(s["measure"] for s in samples))
    print("| | " + " | ".join(lanes) + " |\n|" + "---|" * (len(lanes) + 1))
    for name in names:
        of = {lane: [s for s in samples if s["lane"] == lane and s["measure"] == name] for lane in lanes}
        unit = next((s["unit"] for s in samples if s["measure"] == name and s.get("ok")), "")
        rows = [(f"{name}, {unit}", lambda s: s["value"])]
        if name.startswith(("get", "put")):
            rows.append((f"{name}, CPU s per GiB", lambda s: s["machine_cpu_s"] / s["units"]))
        if name.startswith("sessions"):
            rows.append((f"{name}, CPU ms each", lambda s: s["machine_cpu_s"] / s["units"] * 1e3))
        for k, (title, value) in enumerate(rows):
            cells = []
            for lane in lanes:
                good = [value(s) for s in of[lane] if s.get("ok")]
                failed = sum(int(s.get("extra", {}).get("failed", 0)) + (not s.get("ok")) for s in of[lane])
                text = "–"
                if good:
                    middle = statistics.median(good)
                    digits = 0 if middle > 100 else 2
                    text = f"{middle:.{digits}f} ({min(good):.{digits}f}–{max(good):.{digits}f})"
                if failed and k == 0:
                    text += f", {failed} failed"
                cells.append(text)
            print(f"| {title} | " + " | ".join(cells) + " |")
            if BASE in lanes and len(lanes) > 1:
                print(f"| to {BASE} | " + " | ".join("" if lane == BASE else paired(of[lane], of[BASE], value) for lane in lanes) + " |")


def paired(mine, base, value):
    """The median of the ratios within each round, and the quartiles: what moves both lanes alike is not in it."""
    turn = {(s.get("run"), s["round"]): value(s) for s in base if s.get("ok")}
    of = [value(s) / turn[key] for s in mine if s.get("ok") and turn.get(key := (s.get("run"), s["round"]))]
    if len(of) < 2:
        return f"{of[0]:.2f}" if of else "–"
    low, middle, high = statistics.quantiles(of, n=4, method="inclusive")
    return f"**{middle:.2f}** ({low:.2f}–{high:.2f})"


if __name__ == "__main__":
    main()
