#!/usr/bin/env python3
"""Side-by-side benchmark of programs that read captures of FTP. See README."""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# What each program is asked is the nearest it has to what towpath does: cat and
# capinfos only show what reading costs.
PROGRAMS = {
    "cat": ["cat", "{file}"],
    "capinfos": ["capinfos", "-c", "{file}"],
    "tcpflow": ["tcpflow", "-q", "-o", "{dir}", "-r", "{file}"],
    "tshark": ["tshark", "-n", "-r", "{file}", "-Y", "ftp", "-T", "fields", "-e", "frame.number", "-e", "ftp.request.command", "-e", "ftp.response.code"],
    "towpath": ["{towpath}", "explain", "{file}"],
    "towpath --json": ["{towpath}", "explain", "--json", "{file}"],  # with the SHA-256 of each file
}

# Sessions and bytes of data of each file.
FILES = {"big": (2000, 1 << 30), "many": (20000, 40960000)}


def generate(work, name, sessions, size):
    """The file, made unless it is there; the same numbers give the same bytes."""
    out = f"{work}/{name}-{sessions}-{size}.pcap"
    if not os.path.exists(out):
        print(f"generating {out}", file=sys.stderr)
        subprocess.run([sys.executable, HERE + "/genftp.py", out + ".new", "--manifest", out + ".json",
                        "--sessions", str(sessions), "--bytes", str(size)], check=True, stderr=subprocess.DEVNULL)
        os.rename(out + ".new", out)
    return out


def packets(file):
    """How many packets a pcap file holds."""
    with open(file, "rb", buffering=1 << 20) as f:
        f.seek(24)
        n = 0
        while head := f.read(16):
            f.seek(int.from_bytes(head[8:12], "little"), 1)
            n += 1
    return n


def run(argv, scratch):
    """One run: seconds on the clock and of processor, MiB at most."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    start = time.monotonic()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    # 1 is what towpath says when a session went wrong.
    if child.returncode not in (0, 1):
        raise RuntimeError(f"{argv[0]} ended with {child.returncode}: {said.decode(errors='replace').strip()[-300:]}")
    shutil.rmtree(scratch, ignore_errors=True)
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}


def table(results):
    for name, r in results.items():
        mb, n = r["bytes"] / 1e6, r["packets"]
        print(f"\n{name}: {mb:,.0f} MB, {n:,} packets, {r['sessions']:,} sessions\n")
        print("| program | wall s, median (least to most) | CPU s | MB/s | MB per CPU s | packets per CPU s | MiB at most |")
        print("|---|---|---|---|---|---|---|")
        for program, samples in r["runs"].items():
            wall, cpu = [s["wall"] for s in samples], [s["cpu"] for s in samples]
            w, c = statistics.median(wall), max(statistics.median(cpu), 1e-3)
            print(f"| {program} | {w:.2f} ({min(wall):.2f} to {max(wall):.2f}) | {c:.2f} | {mb / w:,.0f} | {mb / c:,.0f} | {n / c:,.0f} | {max(s['mib'] for s in samples):,.0f} |")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default="/var/tmp/explainbench", help="where files are generated; 1.3 GB, kept for the next run")
    ap.add_argument("--towpath", default=HERE + "/../bin/towpath")
    ap.add_argument("--programs", help="only these, by commas: " + ",".join(PROGRAMS))
    ap.add_argument("--files", default=",".join(FILES))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--quick", action="store_true", help="files of a tenth")
    ap.add_argument("--out", help="write all samples to this file")
    a = ap.parse_args()
    chosen = a.programs.split(",") if a.programs else list(PROGRAMS)
    here = [p for p in chosen if shutil.which(PROGRAMS[p][0].format(towpath=a.towpath))]
    for p in set(chosen) - set(here):
        print(f"{p} is not installed: left out", file=sys.stderr)
    os.makedirs(a.work, exist_ok=True)
    results = {}
    for name in a.files.split(","):
        sessions, size = (n // 10 if a.quick else n for n in FILES[name])
        file = generate(a.work, name, sessions, size)
        r = results[name] = {"bytes": os.path.getsize(file), "packets": packets(file), "sessions": sessions, "runs": {p: [] for p in here}}
        with open(file, "rb", buffering=0) as f:  # from here on it is in memory
            while f.read(1 << 22):
                pass
        for i in range(a.rounds):
            for p in random.sample(here, len(here)):
                argv = [x.format(file=file, dir=a.work + "/scratch", towpath=a.towpath) for x in PROGRAMS[p]]
                r["runs"][p].append(run(argv, a.work + "/scratch"))
                print(f"{name} {i + 1}/{a.rounds} {p}: {r['runs'][p][-1]['wall']:.2f} s", file=sys.stderr)
    table(results)
    if a.out:
        with open(a.out, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
