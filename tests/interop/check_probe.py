#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Hold what "vhost probe" says, as a table and as JSON, against the back-end's own words.

    check_probe.py VHOST PATH net|blk

It asks the back-end itself, knowing nothing of libvhost: the names of virtio's features
are those of the kernel's headers. Prints a line for each field and ends with status 1
if one is wrong; the last line is the JSON, for further checks.
"""
import itertools
import json
import re
import socket
import struct
import subprocess
import sys

VHOST, PATH, KIND = sys.argv[1:]
HEADERS = {"net": ("virtio_net.h", "VIRTIO_NET_F_"), "blk": ("virtio_blk.h", "VIRTIO_BLK_F_")}
IDS = {"net": 1, "blk": 2}
# In the order of their numbers, from the protocol's text.
PROTOCOL = """MQ LOG_SHMFD RARP REPLY_ACK NET_MTU BACKEND_REQ CROSS_ENDIAN CRYPTO_SESSION
    PAGEFAULT CONFIG BACKEND_SEND_FD HOST_NOTIFIER INFLIGHT_SHMFD RESET_DEVICE
    INBAND_NOTIFICATIONS CONFIGURE_MEM_SLOTS STATUS XEN_MMAP SHARED_OBJECT
    DEVICE_STATE""".split()
GET_FEATURES, SET_OWNER, GET_PROTOCOL, SET_PROTOCOL, GET_QUEUE_NUM = 1, 3, 15, 16, 17
GET_CONFIG, GET_MAX_MEM_SLOTS = 24, 36
MQ, CONFIG, SLOTS = 1 << 0, 1 << 9, 1 << 15


class BackEnd:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)

    def tell(self, request, payload=b""):
        self.socket.sendall(struct.pack("<III", request, 1, len(payload)) + payload)

    def ask(self, request, payload=b""):
        self.tell(request, payload)
        found, _flags, size = struct.unpack("<III", self.socket.recv(12, socket.MSG_WAITALL))
        assert found == request
        return self.socket.recv(size, socket.MSG_WAITALL) if size else b""

    def number(self, request):
        return struct.unpack("<Q", self.ask(request))[0]

    def config(self):
        """All that can be read of it: the longest read that is answered."""
        found = b""
        for n in range(1, 257):
            answer = self.ask(GET_CONFIG, struct.pack("<III", 0, n, 0) + bytes(n))
            if len(answer) == 12 + n:
                found = answer[12:]
        return found


def virtio_names():
    header, prefix = HEADERS[KIND]
    names = {26: "LOG_ALL", 30: "PROTOCOL_FEATURES"}
    for file, start in ((header, prefix), ("virtio_ring.h", "VIRTIO_RING_F_"),
                        ("virtio_config.h", "VIRTIO_F_")):
        with open("/usr/include/linux/" + file, encoding="utf-8") as text:
            for name, bit in re.findall(rf"^#define\s+{start}(\w+)\s+(\d+)\b", text.read(), re.M):
                names.setdefault(int(bit), name)
    return names


def named(bits, names):
    return [names.get(i, f"bit {i}") for i in range(64) if bits >> i & 1]


def ask_back_end():
    b = BackEnd(PATH)
    b.tell(SET_OWNER)
    features, protocol = b.number(GET_FEATURES), b.number(GET_PROTOCOL)
    # Those that the questions below need, and no more
    b.tell(SET_PROTOCOL, struct.pack("<Q", protocol & (MQ | CONFIG | SLOTS)))
    return {
        "schema": 1, "address": "unix:" + PATH, "virtio_id": IDS[KIND],
        "virtio_features": named(features, virtio_names()),
        "protocol_features": named(protocol, dict(enumerate(PROTOCOL))),
        "queues": b.number(GET_QUEUE_NUM) if protocol & MQ else 0,
        "memory_slots": b.number(GET_MAX_MEM_SLOTS) if protocol & SLOTS else 8,
        "config": b.config().hex() if protocol & CONFIG else "",
    }, features, protocol


def probe(*options):
    return subprocess.run([VHOST, "probe", "unix:" + PATH, *options], check=True, timeout=30,
                          capture_output=True, text=True).stdout


def bits(title, mask, names, all_names):
    number = {name: bit for bit, name in all_names.items()}
    return [f"{title:<18} 0x{mask:016x}"] + [
        f"  {number[n] if n in number else int(n[4:]):2}  {n}" for n in names]


def table(wanted, features, protocol):
    """What is to be printed for people."""
    config = bytes.fromhex(wanted["config"])
    lines = [f"{'address':<18} {wanted['address']}", f"{'device':<18} {KIND} (by its features)"]
    lines += bits("virtio features", features, wanted["virtio_features"], virtio_names())
    lines += bits("protocol features", protocol, wanted["protocol_features"],
                  dict(enumerate(PROTOCOL)))
    if wanted["queues"]:
        lines.append(f"{'queues':<18} {wanted['queues']}")
    lines.append(f"{'memory slots':<18} {wanted['memory_slots']}")
    lines.append(f"{'config space':<18} {len(config)} bytes")
    return lines + ["  " + config[i:i + 16].hex(" ") for i in range(0, len(config), 16)]


def main():
    good = True
    wanted, features, protocol = ask_back_end()
    found = json.loads(probe("--json"))
    for field in sorted(wanted.keys() | found.keys()):
        same = wanted.get(field) == found.get(field)
        good = good and same
        print(f"{'ok' if same else 'WRONG'}: {field}: {found.get(field)}"
              + ("" if same else f", not {wanted.get(field)}"))
    for line, said in itertools.zip_longest(table(wanted, features, protocol),
                                          probe().splitlines()):
        if line != said:
            print(f"WRONG: the table has {said!r}, not {line!r}")
            good = False
    print(json.dumps(found))
    return 0 if good else 1


sys.exit(main())
