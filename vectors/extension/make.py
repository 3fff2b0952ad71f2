#!/usr/bin/env python3
"""Writes the golden messages of the vault extension, by an encoder of its own: no line of the programs' is used. Run in this folder."""
import hashlib, json

def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])

def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value

def message(*fields):
    return b"".join(field(number, value) for number, value in fields)

DEVICE = bytes.fromhex("d0d000000000400080000000000000" + "01")
VAULT = lambda n: bytes.fromhex("7a7000000000400080000000000000" + f"{n:02x}")
SESSION, DEVICE_KEY, DIGEST = b"\x07" * 32, b"\x08" * 32, b"\x06" * 32
BUNDLE = message((1, 2), (2, DIGEST))
ACCEPTED = message((1, message((1, b"\x03" * 16), (2, 9))), (2, DIGEST), (3, DEVICE))
CHALLENGE = message((1, b"\x05" * 32), (2, 60), (3, 0b11111011111), (4, 1), (5, 1))
LOCK, ERASE = message((1, 1), (2, VAULT(1))), message((1, 2), (2, VAULT(2)))
# Of a kind, and with fields, that nobody has yet.
LATER = message((1, 77), (2, b"no vault"), (9, b"more"))
UNKNOWN = (99, b"of a later version")

ask = message((1, SESSION), (2, BUNDLE), (3, ACCEPTED), (4, 1))
ask_newer = message((1, SESSION), (2, BUNDLE + field(*UNKNOWN)), (3, ACCEPTED + field(*UNKNOWN)), (4, 1), UNKNOWN)
ORDERED = message((1, message((1, b"\x03" * 16), (2, 12))), (2, DEVICE))
ask_ordered = message((1, SESSION), (2, BUNDLE), (3, ACCEPTED), (4, 1), (9, ORDERED))
head = [(1, DEVICE), (2, SESSION), (3, CHALLENGE)]
control = message(*head, (4, LOCK), (4, ERASE), (5, BUNDLE), (6, DEVICE_KEY))
control_newer = message(
    *head[:2], (3, CHALLENGE + field(*UNKNOWN)), (4, LOCK + field(*UNKNOWN)), (4, LATER), (4, ERASE),
    (5, BUNDLE + field(*UNKNOWN)), (6, DEVICE_KEY), UNKNOWN)
control_older = message(*head)
WORDS = b"the controller holds no bundle of this generation"
refused = lambda *cause: message(*head, (10, WORDS), *((14, code) for code in cause))

for name, what, body in [
    ("configrequest-bundle", "ConfigRequest 50521: session, suite, the bundle that the node has, the section that it accepted", message((1, b"hash"), (50521, ask))),
    ("configrequest-newer", "the same from a later node, with fields that nobody has yet in each message", message((1, b"hash"), (50521, ask_newer))),
    ("configrequest-ordered", "the same of a node that holds orders to lock: where they stand in its device's history", message((1, b"hash"), (50521, ask_ordered))),
    ("configrequest-older", "ConfigRequest 50521 as nodes asked before suites, bundles and chains: a session alone", message((1, b"hash"), (50521, message((1, SESSION))))),
    ("configresponse-orders", "ConfigResponse 50520: a challenge, a lock and an erasure, the bundle that is held; no configuration", message((2, b"hash"), (50520, control))),
    ("configresponse-newer", "the same from a later controller: an order of kind 77 between the two, and fields that nobody has yet", message((2, b"hash"), (50520, control_newer))),
    ("configresponse-refused", "ConfigResponse 50520: the bundle that was asked back is not given, by cause and words", message((2, b"hash"), (50520, refused(12)))),
    ("configresponse-refused-newer", "the same of a later controller: a cause that nobody has yet", message((2, b"hash"), (50520, refused(77)))),
    ("configresponse-refused-older", "the same of a controller of before causes: in words alone", message((2, b"hash"), (50520, refused()))),
    ("configresponse-older", "ConfigResponse 50520 of a controller of before orders: a challenge, no key of the device", message((2, b"hash"), (50520, control_older))),
]:
    open(f"{name}.bin", "wb").write(body)
    about = {"what": what, "produced_by": "make.py", "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "hex": body.hex()}
    open(f"{name}.json", "w").write(json.dumps(about, indent=1) + "\n")
