"""python3 run_shared.py DIR: run the files of DIR/chain and DIR/event that this reader understands; exit 1 if one does not fit."""
import json
import os
import sys

import events
import formats
import ledger_keys
import primitives
from primitives import Refused
from run_vectors import read

DONE = [0]


def same(got, expected, what):
    DONE[0] += 1
    if got != expected:
        sys.exit("FAIL %s\n  got      %r\n  expected %r" % (what, got, expected))


def family(call, *arguments):
    """None, or the family it was refused with."""
    try:
        call(*arguments)
    except Refused as refused:
        return refused.family
    return None


def verify_note(text, vkeys):
    """The names of the known keys that signed, each once. C2SP signed-note, "Signatures"."""
    note, signers = formats.parse_note(text), []
    for key in (formats.parse_vkey(vkey, vkey_type(vkey)) for vkey in vkeys):
        lines = [line for name, key_id, line in note.signatures if (name, key_id) == (key.name, key.id)]
        formats.need(all(primitives.ed25519_verify(key.public, note.text.encode(), line) for line in lines),
                     "bad-signature", "a known key's signature does not verify")
        signers += [key.name] if lines else []
    formats.need(signers, "no-known-signer", "signed by no known key")
    return signers


def vkey_type(vkey):
    return primitives.decode_base64(vkey.split("+", 2)[2])[0]


def chain(folder):
    def load(name):
        return json.loads(read(os.path.join(folder, name)))
    for case in load("notes.json")["notes"]:
        if case["expect"] == "ok":
            same(sorted(verify_note(case["note"], case["keys"])), sorted(case["signers"]), case["name"])
        else:
            expected = case["expect"].replace("malformed", "format")
            same(family(verify_note, case["note"], case["keys"]), expected, case["name"])
    signed = "\n\u2014 a %s\n" % "AAAAAAA="
    statements = load("statements.json")
    for case in statements["valid"]:
        statement = formats.parse_statement(case["text"] + signed)
        same("sealtrail.org/%s/v1" % statement.kind, case["kind"], "statement")
        same(primitives.decode_base64(case["hash"], 32), primitives.sha256(case["text"].encode()), "statement hash")
    for case in statements["invalid"]:
        same(family(formats.parse_statement, case["text"] + signed), "format", case["why"])
    ledger = load("ledger.json")
    for proof in ledger["proofs"]:
        formats.check_proof(json.dumps(proof).encode(), ledger["ledger_key"], ledger["writer_key"])
        DONE[0] += 1
    note, _, size, root = formats.parse_checkpoint(ledger["checkpoint"])
    formats.check_signed(note, formats.parse_vkey(ledger["ledger_key"]), "checkpoint")
    blocks = [case["text"].encode() for case in ledger["blocks"]]
    same((len(blocks), formats.merkle_root([primitives.sha256(b"\x00", block) for block in blocks])), (size, root), "checkpoint")
    for before, after in zip(blocks, blocks[1:]):
        same(formats.parse_block(after).previous, primitives.sha256(b"\x00", before), "previous block")
    key_change(load("key_change.json"))
    tree, unhex = load("rfc6962_tree.json"), bytes.fromhex
    leaves = [primitives.sha256(b"\x00", unhex(leaf)) for leaf in tree["leaves"]]
    for size, root in enumerate(tree["roots"]):
        same(formats.merkle_root(leaves[:size]).hex(), root, "root of %d leaves" % size)
    for case in tree["inclusion"]:
        check_path(leaves[case["index"]], case["index"], case, tree["roots"][case["size"]])
        DONE[0] += 1
    for case in load("index_out_of_range.json")["cases"]:
        check_path(unhex(case["leaf"]), case["index"], case, case["root"])
        same(family(check_path, unhex(case["leaf"]), case["claimed"], case, case["root"]), "range", "claimed index %d" % case["claimed"])


def key_change(vectors):
    """A chain whose ledger key changes."""
    ledger = ledger_keys.Ledger()
    for block in vectors["blocks"]:
        ledger.take(block)
    same(ledger.keys, [(k["since"], formats.parse_vkey(k["key"]), k["handed_over"]) for k in vectors["keys"]], "the ledger's keys")
    leaves = [primitives.sha256(b"\x00", block.encode()) for block in vectors["blocks"]]
    for case in vectors["checkpoints"]:
        note, _, size, root = formats.parse_checkpoint(case["text"])
        same(formats.merkle_root(leaves[:size]), root, "root of a checkpoint")
        same(ledger_keys.verified(note, ledger.at(size)), case["good"], "the key of a checkpoint of %d blocks" % size)
    for case in vectors["follow"]:
        reached = ledger_keys.follow(formats.parse_vkey(case["given"]), case["rosters"])
        same(reached, formats.parse_vkey(case["reaches"]), "the key that is followed to")
    for case in vectors["refused"]:
        same(family(ledger.check, formats.parse_statement(case["note"])) is not None, True, case["why"])
    for case in vectors["accepted"]:
        same(family(ledger.check, formats.parse_statement(case["note"])), None, case["why"])


def check_path(leaf, index, case, root):
    formats.check_inclusion(leaf, index, case["size"], [bytes.fromhex(node) for node in case["path"]], bytes.fromhex(root), "leaf")


def plain(fields):
    return [[pointer, kind, value.decode()] for pointer, kind, value in fields]


def event_layer(folder):
    for name, expected in json.loads(read(os.path.join(folder, "fields.json"))).items():
        fields = events.Event(["event"]).add(0, read(os.path.join(folder, name)).strip(b" \t\r\n"))
        same(plain(fields), expected, name)
    for case in json.loads(read(os.path.join(folder, "sections.json"))):
        event = events.Event([section["name"] for section in case["sections"]])
        for s, payload in enumerate(case["payloads"]):
            same(plain(event.add(s, payload.encode())), case["fields"][s], "%s: section %d" % (case["about"], s))
        same(event.merged(), case["event"].encode(), case["about"])
        tags = {(s, field, events.normalised(node).decode()) for path, s, node in event.walk() for field, pointers in case["tags"].items()
                if events.normalised(node) and any(events.pointer_matches(pointer, path) for pointer in pointers)}
        same(sorted(tags), sorted(map(tuple, case["tag_values"])), case["about"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    chain(os.path.join(sys.argv[1], "chain"))
    event_layer(os.path.join(sys.argv[1], "event"))
    print("%d checks passed" % DONE[0])
