#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command line in a guest: run_in_guest.py SOCKET SECONDS COMMAND...

SOCKET is the outer end of the virtio-serial port that the guest's agent serves; agent.c
describes the lines spoken there. Prints what the command prints and exits with its
status, or with 124 when the time was over, or with 255 when the guest did not answer.
"""
import base64
import secrets
import socket
import sys
import time

NO_ANSWER = 255
GRACE = 30  # seconds that a slow guest may take to tell that the time was over


def answers(port, deadline):
    """Yields the lines that come until the deadline, as lists of words."""
    pending = b""
    while (left := deadline - time.monotonic()) > 0:
        port.settimeout(left)
        data = port.recv(65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            yield line.split()


def run(path, seconds, command):
    name = secrets.token_hex(8).encode()
    with socket.socket(socket.AF_UNIX) as port:
        port.connect(path)
        # The first line end closes what an earlier tester may have left half-said.
        port.sendall(b"\n%s %d %s\n" % (name, seconds, command.encode()))
        for words in answers(port, time.monotonic() + seconds + GRACE):
            if words[:2] == [name, b"out"]:
                sys.stdout.buffer.write(base64.b64decode(words[2]))
                sys.stdout.buffer.flush()
            elif words[:2] == [name, b"end"]:
                return int(words[2])
    return NO_ANSWER


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    command = " ".join(sys.argv[3:]).replace("\n", " ; ")
    try:
        return run(sys.argv[1], int(sys.argv[2]), command)
    except OSError as error:
        print(f"run_in_guest: {sys.argv[1]}: {error}", file=sys.stderr)
        return NO_ANSWER


sys.exit(main())
