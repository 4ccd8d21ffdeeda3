#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding between two vhost-user ports: vhost switch against DPDK's testpmd.

Both get the same generator (vhost bench net) on one core and run, polling, on the other.
A run of one is followed by a run of the other; what counts is the median of the ratios
of such pairs, since the machine's speed drifts.

testpmd's own memory is in 2 MiB pages where we can have some, as it is meant to be.
"""
import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SIZES = [64, 128, 256, 512, 1024, 1518]
MEMORY = 256  # MiB of testpmd's
KNOB = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
LOCK = "/tmp/vhost-hugepages.lock"  # that of tests/lab/lib.sh


class Place:
    """Where things run."""
    def __init__(self, hugepages):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            skip("one core is too few: the generator has one, the forwarder another")
        self.generator, self.forwarder = cpus[0], cpus[1]
        self.hugepages = hugepages


def say(text):
    print("bench: " + text, file=sys.stderr)


def skip(why):
    say(why)
    sys.exit(77)


def read_number(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


def write_number(path, number):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(number))


def free_pages():
    folder = os.path.dirname(KNOB)
    return read_number(folder + "/free_hugepages") - read_number(folder + "/resv_hugepages")


@contextlib.contextmanager
def hugepages(wanted):
    """So many free 2 MiB pages, for as long as it lasts: True, or False and why not."""
    if not os.access(KNOB, os.W_OK):
        say("testpmd uses small pages: only root can make 2 MiB pages, where there are such")
        yield False
        return
    with open(LOCK, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_number(KNOB)
        try:
            write_number(KNOB, before + max(0, wanted - free_pages()))
            enough = free_pages() >= wanted
            say(f"testpmd uses {'2 MiB' if enough else 'small'} pages"
                + ("" if enough else ": there is not enough memory for 2 MiB pages"))
            yield enough
        finally:
            write_number(KNOB, before)


def ours(place, vhost, a, b):
    return [vhost, "-q", "switch", "--port", "a=unix:" + a, "--port", "b=unix:" + b,
            "--cores", str(place.forwarder), "--poll", "busy"]


def testpmd(place, _vhost, a, b):
    memory = ["--in-memory"] if place.hugepages else ["--no-huge", "--no-shconf"]
    return ["dpdk-testpmd", "--lcores", f"0@{place.generator},1@{place.forwarder}", *memory,
            "-m", str(MEMORY), "--no-pci", "--no-telemetry",
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


def measure(command, place, vhost, seconds):
    """Million frames a second that arrive, by size."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        forwarder = subprocess.Popen(command(place, vhost, a, b), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(a, forwarder)
            wait_for(b, forwarder)
            time.sleep(0.5)
            out = subprocess.run(
                ["taskset", "-c", str(place.generator), vhost, "-q", "bench", "net", "unix:" + a,
                 "unix:" + b, "size=" + ":".join(map(str, SIZES)), f"seconds={seconds}", "--json"],
                capture_output=True, text=True, timeout=120, check=False)
            if out.returncode:
                sys.exit(f"bench: the generator failed: {out.stderr}{out.stdout}")
            return {row["size"]: row["mpps"] for row in json.loads(out.stdout)["rows"]}
        finally:
            forwarder.terminate()
            forwarder.wait()


def compare(place, args):
    """A row for each size."""
    ratios, speeds = {s: [] for s in SIZES}, {s: ([], []) for s in SIZES}
    for pair in range(args.pairs):
        say(f"pair {pair + 1} of {args.pairs}")
        mine = measure(ours, place, args.vhost, args.seconds)
        theirs = measure(testpmd, place, args.vhost, args.seconds)
        for size in SIZES:
            speeds[size][0].append(mine[size])
            speeds[size][1].append(theirs[size])
            ratios[size].append(mine[size] / theirs[size] if theirs[size] else float("inf"))
    return [{"size": s, "vhost_mpps": statistics.median(speeds[s][0]),
             "testpmd_mpps": statistics.median(speeds[s][1]),
             "ratio": statistics.median(ratios[s]), "ratios": ratios[s]} for s in SIZES]


def print_table(rows, pairs):
    print(f"{'SIZE':>6} {'VHOST Mpps':>12} {'TESTPMD Mpps':>13} {'RATIO':>7}  (median of {pairs})")
    for r in rows:
        print(f"{r['size']:>6} {r['vhost_mpps']:>12.3f} {r['testpmd_mpps']:>13.3f} {r['ratio']:>7.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vhost")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE",
                        help="write JSON too; without FILE, in place of the table")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is undone
    if not shutil.which("dpdk-testpmd"):
        skip("DPDK's testpmd is not here")
    if args.pairs < 1 or args.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    if args.json not in (None, "-"):
        with open(args.json, "w", encoding="utf-8"):
            pass  # better now than after all the work
    with hugepages(MEMORY // 2) as huge:
        place = Place(huge)
        rows = compare(place, args)
    text = json.dumps({"schema": 1, "pairs": args.pairs, "seconds": args.seconds,
                       "hugepages": place.hugepages, "generator_cpu": place.generator,
                       "forwarder_cpu": place.forwarder, "rows": rows})
    if args.json == "-":
        print(text)
        return
    print_table(rows, args.pairs)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")


main()
