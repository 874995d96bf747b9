"""python3 run_vectors.py DIR: run every case of a vectors directory (layout: VECTORS.md); exit 1 if one does not do as it says."""
import json
import os
import sys

import events
import evidence
import formats
import primitives
from primitives import Refused


def read(path):
    with open(path, "rb") as file:
        return file.read()


def key_text(argument):
    """A key given as itself or as a file, whose first line that is no comment counts."""
    text = formats.utf8(read(argument)) if os.path.exists(argument) else argument
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return next((line for line in lines if line and not line.startswith("#")), "")


def identity_scalar(text):
    return primitives.bech32_decode(text, "AGE-SECRET-KEY-")


def command(run, usage, least, most):
    """Run a command-line program; its exit code."""
    if not least <= len(sys.argv) - 1 <= most:
        print(usage, file=sys.stderr)
        return 2
    try:
        result = run(*sys.argv[1:])
    except Refused as refused:
        print("refused (%s): %s" % (refused.family, refused), file=sys.stderr)
        return 1
    if isinstance(result, bytes):
        sys.stdout.buffer.write(result)
    else:
        for name, value in result.items():
            print("%s: %s" % (name, value))
    return 0


def run_case(folder):
    """Do what one case asks; Refused if it is to be refused."""
    case = json.loads(read(os.path.join(folder, "case.json")))

    def data(name):
        return read(os.path.join(folder, case[name])) if name in case else None

    def text(name):
        return key_text(os.path.join(folder, case[name])) if name in case else None
    kind = case["kind"]
    if kind == "proof":
        formats.check_proof(data("proof"), text("vkey"), text("writer_vkey"), data("body"))
    elif kind == "evidence":
        writers = [text("writer_vkey")] if "writer_vkey" in case else []
        evidence.check_evidence(data("evidence"), text("vkey"), writers, text("signer_vkey"))
    elif kind == "block":
        formats.check_block(data("block"), data("body"))
        if "writer_vkey" in case:
            statement = formats.parse_block(data("block")).statement
            formats.check_signed(statement.note, formats.parse_vkey(text("writer_vkey")), "statement")
    elif kind == "statement":
        statement = formats.parse_statement(formats.utf8(data("statement")))
        formats.check_signed(statement.note, formats.parse_vkey(text("vkey")), "statement")
    elif kind == "open-all":
        body, scalar, lines = formats.parse_body(data("body")), identity_scalar(text("identity")), data("events").split(b"\n")
        formats.need(len(lines) == len(body.records) + 1 and not lines[-1], "event", "another number of events than records")
        for position in range(len(body.records)):
            part = formats.readable_part(formats.open_record(body, position, scalar))
            formats.need(part == lines[position], "event", "record %d: other bytes than expected: %r" % (position, part[:200]))
    elif kind == "open":
        event = formats.open_record(formats.parse_body(data("body")), case["position"], identity_scalar(text("identity")))
        part = formats.readable_part(event)
        formats.need("event" not in case or part == data("event"), "event", "other bytes than expected: %r" % part[:200])
    elif kind == "tags" and "body" in case:
        body, scalar = formats.parse_body(data("body")), identity_scalar(text("identity"))
        formats.check_tags(body, case["position"], scalar, json.loads(data("policy")))
    elif kind == "tags":
        secret = formats.section_secret(bytes.fromhex(case["search_secret"]), case["section"])
        value = events.normalised(events.parse_value(case["value"], 0))
        tag = None if value is None else formats.blind_tag(secret, case["field"], value).hex()
        formats.need(tag == case["tag"], "tags", "another tag: %s" % tag)
    elif kind == "session":
        enc, ciphertext = (primitives.decode_base64(case[name]) for name in ("enc", "ciphertext"))
        token = formats.open_challenge(case["ledger"], identity_scalar(text("identity")), enc, ciphertext)
        formats.need(token == case["token"], "token", "another token: %s" % token)
    elif kind == "ed25519":
        good = primitives.ed25519_verify(*(bytes.fromhex(case[name]) for name in ("public_key", "message", "signature")))
        formats.need(good, "signature", "the signature does not verify")
    else:
        raise ValueError("unknown kind of case: %r" % kind)
    return case


def outcome(folder):
    """(as expected?, a line about it)"""
    case = json.loads(read(os.path.join(folder, "case.json")))
    try:
        run_case(folder)
        happened, message = "ok", ""
    except Refused as refused:
        happened, message = refused.family, str(refused)
    expected = "ok" if case["expect"] == "ok" else case.get("why", "any refusal")
    good = happened == expected or (expected == "any refusal" and happened != "ok")
    return good, "expected %s, got %s %s" % (expected, happened, message)


def main(directory):
    folders = sorted(root for root, _, files in os.walk(directory) if "case.json" in files)
    results = [(folder, *outcome(folder)) for folder in folders]
    for folder, good, line in results:
        print("%s  %s: %s" % ("pass" if good else "FAIL", os.path.relpath(folder, directory), line))
    failed = sum(not good for _, good, _ in results)
    print("%d cases, %d failed" % (len(results), failed))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
