#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding between two vhost-user ports: vhost switch against DPDK's testpmd.

Both get the same generator (vhost bench net) on one core and run, polling, on the other.

testpmd's own memory is in 2 MiB pages where we can have some, as it is meant to be.
"""
import contextlib
import fcntl
import os
import shutil
import tempfile

from pairs import Samples, listening, parse_arguments, report, run_json, say, skip, two_cores

SIZES = [64, 128, 256, 512, 1024, 1518]
MEMORY = 256  # MiB of testpmd's
KNOB = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
LOCK = "/tmp/vhost-hugepages.lock"  # that of tests/lab/lib.sh


class Place:
    """Where things run."""
    def __init__(self, hugepages):
        self.generator, self.forwarder = two_cores()
        self.hugepages = hugepages


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


def measure(command, place, vhost, seconds):
    """Million frames a second that arrive, by size."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        with listening(command(place, vhost, a, b), a, b):
            out = run_json(place.generator,
                           [vhost, "-q", "bench", "net", "unix:" + a, "unix:" + b,
                            "size=" + ":".join(map(str, SIZES)), f"seconds={seconds}", "--json"],
                           60 + 2 * seconds * len(SIZES))
            return {row["size"]: row["mpps"] for row in out["rows"]}


def compare(place, args):
    """A row for each size."""
    samples = {size: Samples() for size in SIZES}
    for pair in range(args.pairs):
        say(f"pair {pair + 1} of {args.pairs}")
        mine = measure(ours, place, args.vhost, args.seconds)
        theirs = measure(testpmd, place, args.vhost, args.seconds)
        for size in SIZES:
            samples[size].add(mine[size], theirs[size])
    rows = []
    for size, s in samples.items():
        vhost, peer, ratio = s.medians()
        rows.append({"size": size, "vhost_mpps": vhost, "testpmd_mpps": peer, "ratio": ratio,
                     "ratios": s.ratios()})
    return rows


def print_table(rows, pairs):
    print(f"{'SIZE':>6} {'VHOST Mpps':>12} {'TESTPMD Mpps':>13} {'RATIO':>7}  (median of {pairs})")
    for r in rows:
        print(f"{r['size']:>6} {r['vhost_mpps']:>12.3f} {r['testpmd_mpps']:>13.3f} {r['ratio']:>7.2f}")


def main():
    args = parse_arguments()
    if not shutil.which("dpdk-testpmd"):
        skip("DPDK's testpmd is not here")
    with hugepages(MEMORY // 2) as huge:
        place = Place(huge)
        rows = compare(place, args)
    report(args, {"hugepages": place.hugepages, "generator_cpu": place.generator,
                  "forwarder_cpu": place.forwarder}, rows, print_table)


main()
