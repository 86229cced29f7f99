#!/usr/bin/env python3
"""Compact Markdown tables of saved runs: compact.py full.json [extra.json …]

First table: medians; in brackets the ratio to the best peer, then to the limit. Second: what a
unit costs the server in processor time. Then how far the rounds lie apart, and how busy the
generator and the rest of the machine were.
"""
import json
import os
import statistics
import sys

FLOORS = ("limit", "go-floor")


def show(v):
    if v is None:
        return "–"
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def main():
    runs = []
    for path in sys.argv[1:]:
        runs += json.load(open(path))["runs"]
    names = list(dict.fromkeys(r["name"] for r in runs if not r["name"].startswith(("idle", "crypto"))))
    peers = list(dict.fromkeys(r["peer"] for r in runs))

    def values(name, peer, key="value"):
        return [r[key] for r in runs if r["name"] == name and r["peer"] == peer and r.get("ok")]

    def median(name, peer, key="value"):
        v = values(name, peer, key)
        return statistics.median(v) if v else None

    def head(first):
        print("| " + " | ".join([first, *peers]) + " |")
        print("|---" * (len(peers) + 1) + "|")

    head("measure")
    for n in names:
        some = [r for r in runs if r["name"] == n and r.get("ok")]
        if not some:
            continue
        more = some[0]["better"] == "more"
        m = {p: median(n, p) for p in peers}
        real = [v for p, v in m.items() if v and p not in FLOORS and not p.startswith(("ours", "towpath"))]
        best = (max if more else min)(real) if real else None
        row = [f"{n}, {some[0]['unit'].split(' (')[0].replace(' to first byte', '')}"]
        for p in peers:
            v = m[p]
            cell = show(v)
            if v and p != "limit":
                ratios = [v / x if more else x / v for x in (best, m.get("limit")) if x]
                cell = ("**" + cell + "**" if v == best else cell) + " (" + ", ".join(f"{x:.2f}" for x in ratios) + ")"
            row.append(cell)
        print("| " + " | ".join(row) + " |")
    print()
    head("server CPU")
    for n in names:
        unit = next((r.get("unit_of") for r in runs if r["name"] == n and r.get("ok")), None)
        if not unit or n.startswith("stock"):
            continue
        ms = unit in ("GiB", "listing")
        row = [f"{n}, {'ms' if ms else 'µs'}/{unit}"]
        for p in peers:
            v = median(n, p, "server_ms_per_unit")
            row.append(show(v if ms or v is None else v * 1000))
        print("| " + " | ".join(row) + " |")
    print("\n| measure | spread of the rounds, median peer | worst peer | other work, % of the machine | busiest generator, % of a core |")
    print("|---|---|---|---|---|")
    for n in names:
        spread = [(max(v) - min(v)) / statistics.median(v) * 100 for p in peers if len(v := values(n, p)) > 1]
        good = [r for r in runs if r["name"] == n and r.get("ok") and r["wall_s"] > 0]
        other = statistics.median(100 * r["other_cpu_s"] / r["wall_s"] / (os.cpu_count() or 1) for r in good) if good else 0
        gen = {}
        for r in good:
            gen.setdefault(r["peer"], []).append(100 * r["generator_cpu_s"] / r["wall_s"])
        top = max(((statistics.median(v), p) for p, v in gen.items()), default=(0, ""))
        if spread:
            print(f"| {n} | {statistics.median(spread):.0f} % | {max(spread):.0f} % | {other:.0f} % | {top[0]:.0f} % ({top[1]}) |")


main()
