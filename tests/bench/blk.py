#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Disks over vhost-user: vhost serve blk against QEMU's storage daemon.

Both get the same client (vhost bench blk) on one core and run on the other, and both may
poll.  Where their disks are:

null    nowhere: null= and null-co, all that is not the store
tmpfs   a file in memory, through the page cache: what the store costs beside copying
disk    a file on a disk, past the page cache, both through io_uring

The disk's rows are compared with io_uring alone, too: the same requests to the same file
from a program with no virtio (bare_uring.c), on the core of the daemons.  memory= has no
equal in QEMU; it is listed without one.

P50 is the latency that half of the requests did not exceed.  It says less than the
throughput, but also on a machine that is busy with other things.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from pairs import Samples, listening, parse_arguments, report, run_json, say, skip, two_cores

LOADS = [("randread", 4096, [1, 32, 128]), ("randwrite", 4096, [1, 32, 128]),
         ("read", 131072, [32]), ("write", 131072, [32])]
SIZE = 512 << 20
POLL_NS = 1000000  # of QEMU's, in place of its default of 32768: while there is load, always


class Place:
    """Where things run, and where files are."""
    def __init__(self, folder, tmpfs, disk, bare):
        self.client, self.daemon = two_cores()
        self.folder, self.bare = folder, bare
        self.files = {"tmpfs": tmpfs, "disk": disk}


def vhost_keys(place, store):
    if store in ("null", "memory"):
        return [f"{store}={SIZE}"]
    return [f"file={place.files[store]}", "direct=" + ("on" if store == "disk" else "off")]


def vhost(place, args, store, socket):
    return ["taskset", "-c", str(place.daemon), args.vhost, "-q", "serve", "blk",
            "unix:" + socket, *vhost_keys(place, store), "num-queues=1",
            "--cores", str(place.daemon), "--poll", "busy"]


def qemu_node(place, store):
    if store == "null":
        return f"driver=null-co,node-name=n0,size={SIZE},read-zeroes=off"
    direct = "on" if store == "disk" else "off"
    return (f"driver=file,node-name=n0,filename={place.files[store]},aio=io_uring,"
            f"cache.direct={direct}")


def qemu(place, _args, store, socket):
    return ["taskset", "-c", str(place.daemon), "qemu-storage-daemon",
            "--object", f"iothread,id=io0,poll-max-ns={POLL_NS}",
            "--blockdev", qemu_node(place, store),
            "--export", "type=vhost-user-blk,id=e0,node-name=n0,addr.type=unix,"
            f"addr.path={socket},writable=on,num-queues=1,iothread=io0"]


def keys_of(load, args):
    rw, block_size, depths = load
    return [f"rw={rw}", f"block-size={block_size}", "depth=" + ":".join(map(str, depths)),
            f"seconds={args.seconds}"]


def run_loads(cpu, command, args):
    """Requests a second and the median latency, by (rw, block size, depth)."""
    found = {}
    for load in LOADS:
        out = run_json(cpu, [*command, *keys_of(load, args)],
                       60 + 2 * args.seconds * len(load[2]))
        for row in out["rows"]:
            found[load[0], load[1], row["depth"]] = row["iops"], row.get("p50_us")
    return found


def measure(daemon, place, args, store):
    socket = os.path.join(place.folder, "disk.sock")
    with listening(daemon(place, args, store, socket), socket):
        found = run_loads(place.client,
                          [args.vhost, "bench", "blk", "unix:" + socket, "--json"], args)
    if os.path.exists(socket):
        os.unlink(socket)
    return found


def measure_bare(place, args):
    return run_loads(place.daemon, [place.bare, place.files["disk"]], args)


def compare_stores(place, args):
    """Samples of throughput and of latency, by (store, peer), then by row."""
    stores = ["null", "tmpfs"] + (["disk"] if place.files["disk"] else [])
    samples = {}

    def take(store, peer, mine, theirs):
        rows = samples.setdefault((store, peer), {})
        for row, (iops, p50) in mine.items():
            their_iops, their_p50 = theirs[row] if theirs else (None, None)
            throughput, latency = rows.setdefault(row, (Samples(), Samples()))
            throughput.add(iops, their_iops)
            latency.add(p50, their_p50)

    for pair in range(args.pairs):
        say(f"pair {pair + 1} of {args.pairs}")
        for store in stores:
            mine = measure(vhost, place, args, store)
            take(store, "qemu-storage-daemon", mine, measure(qemu, place, args, store))
            if store == "disk":
                take(store, "io_uring", mine, measure_bare(place, args))
        take("memory", None, measure(vhost, place, args, "memory"), None)
    return samples


def rows_of(samples):
    rows = []
    for (store, peer), by_row in samples.items():
        for (rw, block_size, depth), (throughput, latency) in by_row.items():
            mine, theirs, ratio = throughput.medians()
            p50, their_p50, _ = latency.medians()
            rows.append({"store": store, "peer": peer, "rw": rw, "block_size": block_size,
                         "depth": depth, "vhost_iops": mine, "peer_iops": theirs,
                         "vhost_p50_us": p50, "peer_p50_us": their_p50,
                         "ratio": ratio, "ratios": throughput.ratios()})
    return rows


def number(value, width, digits):
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def print_table(rows, pairs):
    print(f"{'STORE':<7}{'PEER':<20}{'RW':<10}{'BLOCK':>7}{'DEPTH':>6}{'IOPS':>9}"
          f"{'PEER':>9}{'RATIO':>7}{'P50 us':>9}{'PEER':>9}  (median of {pairs})")
    for r in rows:
        print(f"{r['store']:<7}{r['peer'] or '-':<20}{r['rw']:<10}{r['block_size']:>7}"
              f"{r['depth']:>6}" + number(r["vhost_iops"], 9, 0)
              + number(r["peer_iops"], 9, 0) + number(r["ratio"], 7, 2)
              + number(r["vhost_p50_us"], 9, 1) + number(r["peer_p50_us"], 9, 1))


def fill_file(path):
    """A file whose blocks are all there, on the disk, and no zeroes."""
    piece = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(SIZE // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        # Else whoever writes with O_DIRECT first throws these pages out for all others.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def takes_o_direct(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def make_disk(folder):
    """None, saying why, where there can be none."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True,
                          check=True).stdout.strip()
    path = fill_file(os.path.join(folder, "disk.img")) if kind != "tmpfs" else None
    if path and takes_o_direct(path):
        return path
    say(f"no rows of a disk: {folder} is on {kind}; name a folder with --disk")
    return None


def compile_bare(folder):
    program = os.path.join(folder, "bare_uring")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare_uring.c")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-o",
                    program, source, "-luring"], check=True)
    return program


def main():
    args = parse_arguments(lambda parser: parser.add_argument(
        "--disk", metavar="FOLDER", default=None,
        help="where the file on a disk is made; else beside the program"))
    if not shutil.which("qemu-storage-daemon"):
        skip("qemu-storage-daemon is not here")
    on_disk = args.disk or os.path.dirname(os.path.abspath(args.vhost))
    if not os.access("/dev/shm", os.W_OK):
        skip("no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory() as folder, \
            tempfile.TemporaryDirectory(dir="/dev/shm") as shm, \
            tempfile.TemporaryDirectory(dir=on_disk, prefix="bench.") as disk:
        place = Place(folder, fill_file(os.path.join(shm, "disk.img")), make_disk(disk),
                      compile_bare(folder))
        rows = rows_of(compare_stores(place, args))
    report(args, {"client_cpu": place.client, "daemon_cpu": place.daemon}, rows, print_table)


main()
