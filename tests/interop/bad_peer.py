#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A back-end that is at fault: bad_peer.py DEED PATH, until it is killed.

It serves one connection after the other, and is as bad to each.
"""
import socket
import struct
import sys

GET_FEATURES, SET_FEATURES, SET_OWNER = 1, 2, 3
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES = 15, 16
VERSION, REPLY = 1, 4
OFFER = struct.pack("<Q", 1 << 32 | 1 << 30)  # VERSION_1 and PROTOCOL_FEATURES
REPLY_ACK = struct.pack("<Q", 1 << 3)


def read_message(peer):
    header = peer.recv(12, socket.MSG_WAITALL)
    if len(header) < 12:
        return None
    request, _flags, size = struct.unpack("<III", header)
    return request, peer.recv(size, socket.MSG_WAITALL) if size else b""


def message(request, payload, flags=VERSION | REPLY):
    return struct.pack("<III", request, flags, len(payload)) + payload


def answer_all(peer, answers):
    """Until there is no answer to what was asked."""
    while (found := read_message(peer)) is not None:
        request = found[0]
        if request in answers:
            peer.sendall(answers[request])
        elif request not in (SET_OWNER, SET_FEATURES, SET_PROTOCOL_FEATURES):
            break


def drain(peer):
    while peer.recv(4096):
        pass


def hang(peer):
    drain(peer)


def close(_peer):
    pass


def garbage(peer):
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    drain(peer)


def close_later(peer):
    answer_all(peer, {GET_FEATURES: message(GET_FEATURES, OFFER)})


def hang_later(peer):
    close_later(peer)
    drain(peer)


def refuse(peer):
    answer_all(peer, {
        GET_FEATURES: message(GET_FEATURES, OFFER),
        GET_PROTOCOL_FEATURES: message(GET_PROTOCOL_FEATURES, REPLY_ACK),
        SET_FEATURES: message(SET_FEATURES, struct.pack("<Q", 1)),
    })


def close_at_config(peer):
    protocol = struct.pack("<Q", 1 << 9)  # CONFIG
    answer_all(peer, {
        GET_FEATURES: message(GET_FEATURES, OFFER),
        GET_PROTOCOL_FEATURES: message(GET_PROTOCOL_FEATURES, protocol),
    })


def answer_twice(peer):
    answer_all(peer, {GET_FEATURES: 2 * message(GET_FEATURES, OFFER)})


def another_answer(peer):
    answer_all(peer, {GET_FEATURES: message(GET_PROTOCOL_FEATURES, bytes(8))})
    drain(peer)


def short_answer(peer):
    answer_all(peer, {GET_FEATURES: message(GET_FEATURES, bytes(4))})
    drain(peer)


def huge_answer(peer):
    answer_all(peer, {GET_FEATURES: struct.pack("<III", GET_FEATURES, VERSION | REPLY, 1 << 31)})
    drain(peer)


def half_answer(peer):
    answer_all(peer, {GET_FEATURES: message(GET_FEATURES, bytes(8))[:15]})
    drain(peer)


def main():
    deed = globals()[sys.argv[1]]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[2])
    listener.listen(8)
    while True:
        peer, _ = listener.accept()
        try:
            deed(peer)
        except OSError:
            pass
        peer.close()


main()
