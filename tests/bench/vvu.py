#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest as back-end (vvu:) against a Unix socket: the same switch, the same disk.

Nothing runs in a guest here.  "vhost vvu" stands between as it does on a host, the program
that serves reaches its device through a VMM of the tests' own, and memory is a file that
is mapped by both.  So what differs is what the connector makes of it: where memory is,
how kicks and calls go.  All poll, and then nothing should go at all.
"""
import contextlib
import os
import tempfile

from pairs import Samples, listening, parse_arguments, report, run_json, say, skip, two_cores

FRAMES = [64, 256, 1518]
REQUESTS = [("randread", 4096, [1, 32, 128]), ("randwrite", 4096, [32]),
            ("read", 131072, [32])]
DISK = 256 << 20
MEMORY = 64 << 20  # of the client: buffers and rings


class Place:
    """Where things run, and where files are."""
    def __init__(self, folder, program):
        self.client, self.daemon = two_cores()
        self.folder, self.program = folder, program

    def path(self, name):
        return os.path.join(self.folder, name)

    def on_daemons_core(self, *words):
        return ["taskset", "-c", str(self.daemon), self.program, "-q", *words]


@contextlib.contextmanager
def over_unix(place, names, served):
    """[(address for the client, file of its memory or None)] while the daemon runs."""
    sockets = [place.path(n) for n in names]
    with listening(served(["unix:" + s for s in sockets]), *sockets):
        yield [("unix:" + s, None) for s in sockets]


@contextlib.contextmanager
def over_vvu(place, names, served):
    with contextlib.ExitStack() as stack:
        ends = []
        for n in names:
            front, pci, memory = (place.path(n + suffix) for suffix in ("", ".pci", ".ram"))
            stack.enter_context(listening(
                place.on_daemons_core("vvu", "--pci", "vfio-user:" + pci, "--front",
                                      "unix:" + front, "--memory",
                                      f"file:{memory},size={MEMORY}"), front, pci))
            ends.append(("unix:" + front, memory))
        stack.enter_context(listening(
            served(["vvu:test:" + place.path(n + ".pci") for n in names])))
        yield ends


def memory_key(ends):
    files = [memory for _, memory in ends if memory]
    return ["memory-file=" + ":".join(files)] if files else []


def switch_rows(place, args, way):
    """Million frames a second, by ("switch", size)."""
    def served(addresses):
        ports = [w for n, a in zip("ab", addresses) for w in ("--port", f"{n}={a}")]
        return place.on_daemons_core("switch", *ports, "--cores", str(place.daemon), "--poll",
                                     "busy")

    with way(place, ["a", "b"], served) as ends:
        out = run_json(place.client,
                       [place.program, "-q", "bench", "net", *(a for a, _ in ends),
                        "size=" + ":".join(map(str, FRAMES)), f"seconds={args.seconds}",
                        *memory_key(ends), "--json"], 60 + 2 * args.seconds * len(FRAMES))
    return {("switch", f"{row['size']} bytes"): row["mpps"] * 1e6 for row in out["rows"]}


def disk_rows(place, args, way):
    """Requests a second, by ("blk", what)."""
    def served(addresses):
        return place.on_daemons_core("serve", "blk", addresses[0], f"memory={DISK}",
                                     "num-queues=1", "--cores", str(place.daemon), "--poll",
                                     "busy")

    rows = {}
    with way(place, ["disk"], served) as ends:
        for rw, size, depths in REQUESTS:
            out = run_json(place.client,
                           [place.program, "-q", "bench", "blk", ends[0][0], f"rw={rw}",
                            f"block-size={size}", "depth=" + ":".join(map(str, depths)),
                            f"seconds={args.seconds}", *memory_key(ends), "--json"],
                           60 + 2 * args.seconds * len(depths))
            for row in out["rows"]:
                rows["blk", f"{rw} {size}, depth {row['depth']}"] = row["iops"]
    return rows


def compare(place, args):
    samples = {}
    for pair in range(args.pairs):
        say(f"pair {pair + 1} of {args.pairs}")
        for measure in (switch_rows, disk_rows):
            # Who comes second finds the machine warm: they take turns.
            ways = [over_vvu, over_unix] if pair % 2 == 0 else [over_unix, over_vvu]
            found = {way: measure(place, args, way) for way in ways}
            for row, speed in found[over_vvu].items():
                samples.setdefault(row, Samples()).add(speed, found[over_unix][row])
    rows = []
    for (device, load), s in samples.items():
        vvu, unix, ratio = s.medians()
        rows.append({"device": device, "load": load, "vvu_per_second": vvu,
                     "unix_per_second": unix, "ratio": ratio, "ratios": s.ratios()})
    return rows


def print_table(rows, pairs):
    print(f"{'DEVICE':<8}{'LOAD':<28}{'VVU /s':>12}{'UNIX /s':>12}{'RATIO':>7}"
          f"  (median of {pairs})")
    for r in rows:
        print(f"{r['device']:<8}{r['load']:<28}{r['vvu_per_second']:>12.0f}"
              f"{r['unix_per_second']:>12.0f}{r['ratio']:>7.2f}")


def main():
    args = parse_arguments()
    if not os.access("/dev/shm", os.W_OK):
        skip("no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        place = Place(folder, os.path.abspath(args.vhost))
        rows = compare(place, args)
    report(args, {"client_cpu": place.client, "daemon_cpu": place.daemon}, rows, print_table)


main()
