#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One command to QEMU's monitor: qmp.py SOCKET COMMAND [KEY=VALUE]... [--get KEY]

A value that reads as JSON is sent as JSON, any other as a string; KEY.KEY=VALUE sets
nested ones. Prints the answer as JSON, or with --get one member of it (an empty line if
there is none). Exits with 1 when QEMU answers with an error, which goes to stderr.
"""
import json
import socket
import sys

SECONDS = 60


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments(words):
    result = {}
    for word in words:
        path, value = word.split("=", 1)
        *parents, last = path.split(".")
        inner = result
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = parsed(value)
    return result


def ask(stream, command, args):
    json.dump({"execute": command, "arguments": args}, stream)
    stream.write("\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "return" in answer or "error" in answer:
            return answer
    raise OSError("QEMU closed the monitor")


def main():
    words = sys.argv[1:]
    wanted = None
    if "--get" in words:
        at = words.index("--get")
        wanted = words[at + 1]
        del words[at : at + 2]
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(SECONDS)
        monitor.connect(words[0])
        stream = monitor.makefile("rw")
        stream.readline()  # the greeting
        ask(stream, "qmp_capabilities", {})
        answer = ask(stream, words[1], arguments(words[2:]))
    if "error" in answer:
        print(f"qmp: {words[1]}: {answer['error']['desc']}", file=sys.stderr)
        return 1
    value = answer["return"]
    print(json.dumps(value) if wanted is None else value.get(wanted, ""))
    return 0


try:
    sys.exit(main())
except OSError as failure:
    print(f"qmp: {sys.argv[1]}: {failure}", file=sys.stderr)
    sys.exit(1)
