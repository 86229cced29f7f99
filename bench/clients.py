#!/usr/bin/env python3
"""Side-by-side benchmark of FTP clients on loopback. See README."""
import argparse
import filecmp
import json
import os
import pwd
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import bench
from bench import BIN, PASSWORD, PORT, USER

ADDR = f"127.0.0.1:{PORT}"
URL = f"ftp://{USER}:{PASSWORD}@{ADDR}"


class Vsftpd(bench.Vsftpd):
    """Data connections must resume the TLS session, which bench.py leaves open: not all load generators can."""

    def prepare(self, ctx, tls):
        argv = super().prepare(ctx, tls)
        with open(argv[1]) as f:
            text = f.read().replace("require_ssl_reuse=NO", "require_ssl_reuse=YES")
        with open(argv[1], "w") as f:
            f.write(text)
            if ctx.count:
                f.write(f"log_ftp_protocol=YES\nxferlog_enable=YES\nvsftpd_log_file={ctx.etc}/commands\n")
                if os.path.exists(ctx.etc + "/commands"):
                    os.remove(ctx.etc + "/commands")
        return argv

    def commands(self, ctx):
        with open(ctx.etc + "/commands", errors="replace") as f:
            return sum("FTP command:" in line for line in f)


class Towpath(bench.Towpath):
    def prepare(self, ctx, tls):
        argv = super().prepare(ctx, tls) + (["--tls-binding", "require"] if tls else [])
        if ctx.count:
            shutil.rmtree(ctx.etc + "/said", ignore_errors=True)
            os.makedirs(ctx.etc + "/said")
            shutil.chown(ctx.etc + "/said", USER)
            argv += ["--transcripts", ctx.etc + "/said"]
        return argv

    def commands(self, ctx):
        n = 0
        for d, _, names in os.walk(ctx.etc + "/said"):
            for name in names:
                with open(f"{d}/{name}", errors="replace") as f:
                    n += sum("C: " in line for line in f)
        return n


def rclone(options=""):
    """rclone wants its password veiled."""
    if not shutil.which("rclone"):
        return ""
    return f":ftp,host=127.0.0.1,port={PORT},user={USER},pass={bench.sh('rclone', 'obscure', PASSWORD)}{options}:"


def measures():
    """Of each measure: the kind of work, whether over TLS, and the command of each client. {here} is an empty
    directory, {file} and {tree} are what goes up. exec, so that the time measured is that of the client alone."""
    plain, secure = rclone(), rclone(",explicit_tls=true,no_check_certificate=true")
    tls = "set ftp:ssl-force yes; set ssl:verify-certificate no; "
    rc = "rclone --config /dev/null"
    jl = f"{BIN}/jlaffaye"
    login = f"{ADDR} {USER} {PASSWORD}"
    tow = f"{BIN}/towpath"
    return {
        "get": ("get", False, {
            "towpath": f"{tow} get --silent -o {{here}}/f {URL}/big.bin",
            "curl": f"curl -sS -o {{here}}/f {URL}/big.bin",
            "lftp": f"lftp -c 'get {URL}/big.bin -o {{here}}/f'",
            "jlaffaye": f"{jl} get {login} big.bin {{here}}/f",
            "rclone": f"{rc} copyto --multi-thread-streams 0 '{plain}big.bin' {{here}}/f",
        }),
        "put": ("put", False, {
            "towpath": f"{tow} put --silent {{file}} {URL}/up/f",
            "curl": f"curl -sS -T {{file}} {URL}/up/f",
            "lftp": f"lftp -c 'open {URL}; put {{file}} -o up/f'",
            "jlaffaye": f"{jl} put {login} up/f {{file}}",
            "rclone": f"{rc} copyto {{file}} '{plain}up/f'",
        }),
        "get-tls": ("get", True, {
            "towpath": f"{tow} get --silent -k --ssl-reqd -o {{here}}/f {URL}/big.bin",
            "curl": f"curl -sS -k --ssl-reqd -o {{here}}/f {URL}/big.bin",
            "lftp": f"lftp -c '{tls}get {URL}/big.bin -o {{here}}/f'",
            "jlaffaye": f"{jl} get -tls {login} big.bin {{here}}/f",
            "rclone": f"{rc} copyto --multi-thread-streams 0 '{secure}big.bin' {{here}}/f",
        }),
        "put-tls": ("put", True, {
            "towpath": f"{tow} put --silent -k --ssl-reqd {{file}} {URL}/up/f",
            "curl": f"curl -sS -k --ssl-reqd -T {{file}} {URL}/up/f",
            "lftp": f"lftp -c '{tls}open {URL}; put {{file}} -o up/f'",
            "jlaffaye": f"{jl} put -tls {login} up/f {{file}}",
            "rclone": f"{rc} copyto {{file}} '{secure}up/f'",
        }),
        "segments": ("get", False, {
            "towpath": f"{tow} get --silent --segments 4 -o {{here}}/f {URL}/big.bin",
            "lftp": f"lftp -c 'pget -n 4 {URL}/big.bin -o {{here}}/f'",
            "rclone": f"{rc} copyto --multi-thread-streams 4 '{plain}big.bin' {{here}}/f",
        }),
        "mirror": ("mirror", False, {
            "towpath": f"{tow} mirror --silent -P 8 {URL}/tree {{here}}/tree",
            "lftp": f"lftp -c 'open {URL}; mirror -P 8 tree {{here}}/tree'",
            "wget": f"wget -q -r -nH -P {{here}} {URL}/tree/",
            "jlaffaye": f"{jl} mirror {login} tree {{here}}/tree",
            "rclone": f"{rc} copy --transfers 8 '{plain}tree' {{here}}/tree",
        }),
        "mirror-up": ("mirror-up", False, {
            "towpath": f"{tow} mirror --silent -R -P 8 {{tree}} {URL}/up/tree",
            "lftp": f"lftp -c 'open {URL}; mirror -R -P 8 {{tree}} up/tree'",
            "rclone": f"{rc} copy --transfers 8 {{tree}} '{plain}up/tree'",
        }),
    }


def make_home(home, mib, files):
    """What is served: a file in which no two MiB are the same, and a tree of 100 small files a directory."""
    os.makedirs(home + "/up")
    block, rnd = os.urandom(1 << 20), random.Random(7)
    with open(home + "/big.bin", "wb") as f:
        for i in range(mib):
            f.write(i.to_bytes(8, "big") + block[8:])
    for i in range(files):
        d = f"{home}/tree/d{i // 100:03d}"
        os.makedirs(d, exist_ok=True)
        with open(f"{d}/f{i % 100:03d}.txt", "wb") as f:
            f.write(block[i:][: rnd.randrange(100, 4000)])
    p = pwd.getpwnam(USER)
    for d, _, names in os.walk(home):
        for name in [d] + [f"{d}/{n}" for n in names]:
            os.chown(name, p.pw_uid, p.pw_gid)


def whole(kind, home, here):
    """Whether every byte has arrived."""
    if kind in ("get", "put"):
        at = here + "/f" if kind == "get" else home + "/up/f"
        return os.path.exists(at) and filecmp.cmp(home + "/big.bin", at, shallow=False)
    want, got = home + "/tree", here + "/tree" if kind == "mirror" else home + "/up/tree"
    for d, _, names in os.walk(want):
        there = got + d[len(want):]
        same, _, _ = filecmp.cmpfiles(d, there, names, shallow=False)
        if len(same) != len(names):
            return False
    return True


def run(command, limit, env):
    """Runs a client and returns its times, those of its children that have ended included."""
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        p = subprocess.Popen(["sh", "-c", "exec " + command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True, env=env)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(p.pid, signal.SIGKILL))
        signal.alarm(limit)
        try:
            _, status, used = os.wait4(p.pid, 0)
        finally:
            signal.alarm(0)
        wall = time.monotonic() - began
        p.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return {"wall": wall, "user": used.ru_utime, "system": used.ru_stime, "cpu": used.ru_utime + used.ru_stime, "rss_mib": used.ru_maxrss / 1024,
                "code": p.returncode, "said": said.read()[-200:].decode(errors="replace").replace("\n", "; ").replace("|", "/")}


def report(out):
    """Markdown: a table for each measure and server, with ours beside the best of the others."""
    text = [f"machine: {out['machine']}", f"{out['mib']} MiB, {out['files']} files, {out['rounds']} rounds", ""]
    tables = {}
    for r in out["runs"]:
        tables.setdefault((r["measure"], r["server"]), {}).setdefault(r["client"], []).append(r)
    for (measure, server), clients in tables.items():
        text += [f"### {measure}, from and to {server}", "", "| client | wall s: median (least to most) | CPU s: median (least to most) | MiB | whole | commands a file |", "|---|---|---|---|---|---|"]
        wall, cpu = {}, {}
        for name, runs in sorted(clients.items(), key=lambda kv: statistics.median(r["wall"] for r in kv[1])):
            good = [r for r in runs if r["whole"] and not r["counted"]]
            counted = [r["commands"] / max(1, out["files"]) for r in runs if r["counted"] and r["whole"]]
            times = [r for r in runs if not r["counted"]]
            if not good:
                text.append(f"| {name} | failed: {runs[0]['said'] or runs[0]['code']} | | | 0/{len(times)} | |")
                continue
            spread = lambda key: "%.2f (%.2f to %.2f)" % (statistics.median(r[key] for r in good), min(r[key] for r in good), max(r[key] for r in good))
            wall[name], cpu[name] = (statistics.median(r[key] for r in good) for key in ("wall", "cpu"))
            mib = statistics.median(r["rss_mib"] for r in good)
            text.append(f"| {name} | {spread('wall')} | {spread('cpu')} | {mib:.0f} | {len(good)}/{len(times)} | {'%.2f' % counted[0] if counted else ''} |")
        for what, times in (("wall", wall), ("CPU", cpu)):
            others = {k: v for k, v in times.items() if k != "towpath"}
            if "towpath" in times and others:
                best = min(others, key=others.get)
                text.append("")
                text.append(f"towpath's {what} is " + ", ".join(
                    f"{times['towpath'] / v:.2f} of {k}'s" + (" (the best of the others)" if k == best else "") for k, v in sorted(others.items(), key=lambda kv: kv[1])) + ".")
        text.append("")
    return "\n".join(text)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--only", help="measures, comma separated")
    a.add_argument("--clients", help="clients, comma separated")
    a.add_argument("--servers", help="vsftpd, towpath (default: vsftpd, and for trees both)")
    a.add_argument("--rounds", type=int, default=5, help="in each, every client runs once, in a new order")
    a.add_argument("--mib", type=int, default=1024, help="size of the big file")
    a.add_argument("--files", type=int, default=10000, help="files in the tree")
    a.add_argument("--limit", type=int, default=300, help="seconds after which a client is ended")
    a.add_argument("--count", action="store_true", help="one more run of each tree, not timed, in which the server counts commands")
    a.add_argument("--out", default="bench-clients.json", help="all single results, JSON")
    a.add_argument("--root", default="/dev/shm", help="where files are (default: tmpfs; needs three times the big file)")
    a.add_argument("--list", action="store_true", help="name the measures and the clients")
    a.add_argument("--report", metavar="JSON", nargs="+", help="only print the tables of earlier runs, pooled")
    o = a.parse_args()
    if o.report:
        runs = []
        for name in o.report:
            with open(name) as f:
                runs.append(json.load(f))
        runs[0]["runs"] = [r for out in runs for r in out["runs"]]
        runs[0]["rounds"] = sum(out["rounds"] for out in runs)
        print(report(runs[0]))
        return
    known = measures()
    if o.list:
        for name, (_, _, clients) in known.items():
            print(f"{name}: {' '.join(clients)}")
        return
    if os.geteuid():
        sys.exit("clients.py: run as root (vsftpd starts as root)")
    names = o.only.split(",") if o.only else list(known)
    for n in names:
        if n not in known:
            sys.exit(f"clients.py: no measure {n}; --list names them")
    top = tempfile.mkdtemp(prefix="ftpbench-clients-", dir=o.root)
    os.chmod(top, 0o755)
    home, etc, here = top + "/home", top + "/etc", top + "/here"
    os.makedirs(etc)
    os.chmod(etc, 0o755)
    group = bench.Group()
    ctx = bench.Context(home, etc, group)
    env = dict(os.environ, HOME=top, XDG_CONFIG_HOME=top, no_proxy="*")
    out = {"machine": bench.machine(group), "mib": o.mib, "files": o.files, "rounds": o.rounds, "runs": []}
    try:
        make_home(home, o.mib, o.files)
        for n in names:
            kind, tls, clients = known[n]
            clients = {k: v for k, v in clients.items() if not o.clients or k in o.clients.split(",")}
            for k in [k for k, v in clients.items() if not shutil.which(shlex.split(v)[0])]:
                print(f"{k} is not there (setup.sh): left out of {n}", flush=True)
                del clients[k]
            tree = kind.startswith("mirror")
            for peer in (Vsftpd(), Towpath()):
                if peer.name not in (o.servers.split(",") if o.servers else ["vsftpd", "towpath"] if tree else ["vsftpd"]):
                    continue
                for k in range(o.rounds + (1 if o.count and tree else 0)):
                    ctx.count = k == o.rounds
                    order = list(clients)
                    random.Random(k).shuffle(order)
                    for name in order:
                        bench.clear_up(home)
                        shutil.rmtree(here, ignore_errors=True)
                        os.makedirs(here)
                        server = bench.Server(ctx, peer, tls)
                        try:
                            r = run(clients[name].format(here=here, file=home + "/big.bin", tree=home + "/tree"), o.limit, env)
                        finally:
                            server.stop()
                        r.update(measure=n, server=peer.name, client=name, round=k, whole=r["code"] == 0 and whole(kind, home, here), counted=ctx.count)
                        if ctx.count:
                            r["commands"] = peer.commands(ctx)
                        out["runs"].append(r)
                        print(f"{n:10} {peer.name:8} {k} {name:9} wall {r['wall']:.2f} CPU {r['cpu']:.2f} s" + ("" if r["whole"] else f" NOT WHOLE, code {r['code']}: {r['said']}"), flush=True, file=sys.stderr)
            with open(o.out, "w") as f:
                json.dump(out, f, indent=1)
    finally:
        shutil.rmtree(top, ignore_errors=True)
        group.close()
    print(report(out))


if __name__ == "__main__":
    main()
