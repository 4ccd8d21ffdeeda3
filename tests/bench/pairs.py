# SPDX-License-Identifier: BSD-3-Clause
"""What the comparisons with peers share: two cores, programs that listen, pairs of runs.

The machine's speed drifts, so a run of ours is followed by one of the peer's, and what
counts is the median of the ratios of such pairs.
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time


def say(text):
    print("bench: " + text, file=sys.stderr)


def skip(why):
    say(why)
    sys.exit(77)


def two_cores():
    """One for the client that makes the load, one for what is measured."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        skip("one core is too few: the client has one, what is measured another")
    return cpus[0], cpus[1]


def wait_for(path, process):
    for _ in range(200):
        if os.path.exists(path):
            return
        if process.poll() is not None:
            sys.exit(f"bench: {process.args[0]} ended with status {process.returncode}")
        time.sleep(0.05)
    sys.exit(f"bench: nobody listens on {path}")


@contextlib.contextmanager
def listening(command, *sockets):
    """The program runs, and listens on its sockets, for as long as it lasts."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for path in sockets:
            wait_for(path, process)
        time.sleep(0.5)  # threads that start have ended their noise
        yield process
    finally:
        process.terminate()
        process.wait()


def run_json(cpu, command, timeout):
    """What the command, on that core, prints as JSON."""
    out = subprocess.run(["taskset", "-c", str(cpu), *command], capture_output=True, text=True,
                         timeout=timeout, check=False)
    if out.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with status {out.returncode}: "
                 f"{out.stderr}{out.stdout}")
    return json.loads(out.stdout)


class Samples:
    """The speeds of ours and of a peer in one row of the table, pair by pair."""
    def __init__(self):
        self.ours, self.theirs = [], []

    def add(self, ours, theirs=None):
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    def ratios(self):
        return [a / b if b else float("inf") for a, b in zip(self.ours, self.theirs)]

    def medians(self):
        """Ours, theirs, the ratio; None where there is no peer."""
        return tuple(statistics.median(values) if values else None
                     for values in (self.ours, self.theirs, self.ratios()))


def parse_arguments(add_more=lambda parser: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("vhost")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE",
                        help="write JSON too; without FILE, in place of the table")
    add_more(parser)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is undone
    if args.pairs < 1 or args.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    if args.json not in (None, "-"):
        with open(args.json, "w", encoding="utf-8"):
            pass  # better now than after all the work
    return args


def report(args, facts, rows, print_table):
    text = json.dumps({"schema": 1, "pairs": args.pairs, "seconds": args.seconds, **facts,
                       "rows": rows})
    if args.json == "-":
        print(text)
        return
    print_table(rows, args.pairs)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
