#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding between two vhost-user ports: vhost switch against DPDK's testpmd.

Both get the same generator (vhost bench net) on one core and run, polling, on the other.
A run of one is followed by a run of the other; what counts is the median of the ratios
of such pairs, since the machine's speed drifts.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SIZES = [64, 128, 256, 512, 1024, 1518]
GENERATOR_CPU, FORWARDER_CPU = "0", "1"


def ours(vhost, a, b):
    return [vhost, "-q", "switch", "--port", "a=unix:" + a, "--port", "b=unix:" + b,
            "--cores", FORWARDER_CPU, "--poll", "busy"]


def testpmd(_vhost, a, b):
    return ["dpdk-testpmd", "--lcores", f"0@{GENERATOR_CPU},1@{FORWARDER_CPU}", "--no-huge",
            "--no-shconf", "-m", "256", "--no-pci", "--no-telemetry",
            "--vdev", f"net_vhost0,iface={a},queues=1", "--vdev", f"net_vhost1,iface={b},queues=1",
            "--", "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=16384",
            "--stats-period", "3600", "--disable-link-check"]


def wait_for(path, process):
    for _ in range(200):
        if os.path.exists(path):
            return
        if process.poll() is not None:
            sys.exit(f"bench: the forwarder ended with status {process.returncode}")
        time.sleep(0.05)
    sys.exit(f"bench: nobody listens on {path}")


def measure(command, vhost, seconds):
    """Million frames a second that arrive, by size."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        forwarder = subprocess.Popen(command(vhost, a, b), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(a, forwarder)
            wait_for(b, forwarder)
            time.sleep(0.5)
            out = subprocess.run(
                ["taskset", "-c", GENERATOR_CPU, vhost, "-q", "bench", "net", "unix:" + a,
                 "unix:" + b, "size=" + ":".join(map(str, SIZES)), f"seconds={seconds}", "--json"],
                capture_output=True, text=True, timeout=120, check=False)
            if out.returncode:
                sys.exit(f"bench: the generator failed: {out.stderr}{out.stdout}")
            return {row["size"]: row["mpps"] for row in json.loads(out.stdout)["rows"]}
        finally:
            forwarder.terminate()
            forwarder.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vhost")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not shutil.which("dpdk-testpmd"):
        print("bench: DPDK's testpmd is not here")
        sys.exit(77)
    ratios, speeds = {s: [] for s in SIZES}, {s: ([], []) for s in SIZES}
    for pair in range(args.pairs):
        print(f"bench: pair {pair + 1} of {args.pairs}", file=sys.stderr)
        mine, theirs = measure(ours, args.vhost, args.seconds), measure(testpmd, args.vhost, args.seconds)
        for size in SIZES:
            speeds[size][0].append(mine[size])
            speeds[size][1].append(theirs[size])
            ratios[size].append(mine[size] / theirs[size] if theirs[size] else float("inf"))
    rows = [{"size": s, "vhost_mpps": statistics.median(speeds[s][0]),
             "testpmd_mpps": statistics.median(speeds[s][1]),
             "ratio": statistics.median(ratios[s]), "ratios": ratios[s]} for s in SIZES]
    if args.json:
        print(json.dumps({"schema": 1, "pairs": args.pairs, "rows": rows}))
        return
    print(f"{'SIZE':>6} {'VHOST Mpps':>12} {'TESTPMD Mpps':>13} {'RATIO':>7}  (median of {args.pairs})")
    for r in rows:
        print(f"{r['size']:>6} {r['vhost_mpps']:>12.3f} {r['testpmd_mpps']:>13.3f} {r['ratio']:>7.2f}")


main()
