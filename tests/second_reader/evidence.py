"""docs/FORMAT.md §13: evidence files."""
import json
import struct
import unicodedata

import events
import formats as F
import primitives as P
from formats import need
from primitives import Refused, decode_base64, sha256

FILE = {"format", "ledger", "manifest", "checkpoint", "blocks", "records"}
BLOCK = {"text", "log_path", "header"}
RECORD = {"record", "id", "block", "ciphertext_sha256", "envelope_hash", "disclosure_root", "record_path", "erased", "opened", "note"}
WHOLE, PARTS = {"payload", "salt_key"}, {"fields", "root", "shown"}
FIELD = {"index", "pointer", "kind", "value", "salt", "path"}


def members(value, names, what):
    need(isinstance(value, dict) and set(value) == names, "format", "not exactly the members of %s" % what)
    return value


def text(value, what):
    need(isinstance(value, str), "format", "%s is not a text" % what)
    return value


def listed(value, what):
    need(isinstance(value, list), "format", "%s is not a list" % what)
    return value


def whole_number(value, bits, what):
    need(type(value) is int and 0 <= value < 1 << bits, "format", "%s is not a number" % what)
    return value


def path(value):
    hashes = [decode_base64(text(item, "a hash"), 32) for item in listed(value, "a path")]
    need(len(hashes) <= 64, "format", "a path of more than 64 hashes")
    return hashes


def words(value):
    good = 1 <= len(value) <= 1000 and value == value.strip() and not any(unicodedata.category(c) == "Cc" for c in value)
    need(good, "format", "words that may not stand in a manifest or note")
    return value


def load(data):
    need(len(data) <= 1 << 28, "format", "larger than an evidence file may be")

    def no_twice(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "format", "member name twice")
        return dict(pairs)
    try:
        value = json.loads(F.utf8(data), object_pairs_hook=no_twice, parse_int=F.number)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("format", "not JSON, or with a lone surrogate") from None
    return value


def parse_manifest(manifest):
    """A dictionary of the lines; the signature by the key named is checked."""
    signed = F.parse_note(manifest) if "\n\n" in manifest else None
    body = signed.text if signed else manifest
    need(body.endswith("\n"), "format", "the manifest does not end its last line")
    lines = body.split("\n")[:-1]
    need(lines[0] == "sealtrail.org/evidence-manifest/v1", "format", "not a manifest of version 1")
    lines.pop(0)
    found = {}
    for name, parser, least, most in (("ledger", str, 1, 1), ("created", F.time, 1, 1), ("tree-size", F.number, 1, 1),
                                      ("root-hash", F.hash32, 1, 1), ("records", F.number, 1, 1), ("contents", F.hash32, 1, 1),
                                      ("selection", words, 1, 1), ("title", words, 0, 1), ("note", words, 0, 100),
                                      ("text-hash", F.hash32, 1, 1), ("signer", F.parse_vkey, 0, 1)):
        values = []
        while lines and lines[0].startswith(name + " ") and len(values) < most:
            values.append(parser(lines.pop(0)[len(name) + 1:]))
        need(len(values) >= least, "format", "no line %s where it belongs in the manifest" % name)
        found[name] = values
    above = body[:body.find("\ntext-hash ") + 1].encode()
    need(found["text-hash"][0] == sha256(b"sealtrail.org/evidence-text/v1\n", above), "format", "the manifest's lines were changed")
    need(not lines, "format", "an extra line in the manifest: %r" % (lines or [""])[0][:80])
    if found["signer"]:
        need(signed, "signature", "the manifest names a signer and is not signed")
        need(len(signed.signatures) == 1, "format", "the manifest must have one signature line")
        F.check_signed(signed, found["signer"][0], "manifest")
    else:
        need(not signed, "format", "signatures of nobody named")
    return {name: values if name in ("note", "title", "signer") else values[0] for name, values in found.items()}


def field_leaf(salt, pointer, kind, value):
    return sha256(b"\x00stf1", salt, F.encode16(pointer), kind.encode(), value.encode())


def read_field(value):
    """(index, pointer, kind, value, leaf, path)"""
    field = members(value, FIELD, "a shown field")
    index, pointer = whole_number(field["index"], 32, "index"), text(field["pointer"], "pointer")
    kind, shown = text(field["kind"], "kind"), text(field["value"], "value")
    need(len(pointer.encode()) <= 4096, "format", "a pointer longer than 4,096 bytes")
    need(kind in tuple("sntfzoa") and (kind in "sn" or not shown), "format", "no such kind of value")
    salt = decode_base64(text(field["salt"], "salt"), 16)
    return index, pointer, kind, shown, field_leaf(salt, pointer, kind, shown), path(field["path"])


def read_section(value):
    """("whole", payload, salt key) or ("parts", fields, root, shown)"""
    need(isinstance(value, dict) and set(value) in (WHOLE, PARTS), "format", "not exactly the members of a section")
    if set(value) == WHOLE:
        payload = text(value["payload"], "payload").encode()
        need(len(payload) <= 2 << 20, "format", "a payload larger than a record")
        return "whole", payload, decode_base64(text(value["salt_key"], "salt_key"), 32)
    count, root = whole_number(value["fields"], 32, "fields"), decode_base64(text(value["root"], "root"), 32)
    return "parts", count, root, [read_field(field) for field in listed(value["shown"], "shown")]


def read_record(value):
    record = dict(members(value, RECORD, "a record"))
    whole_number(record["record"], 64, "record"), whole_number(record["block"], 32, "block")
    need(record["id"] == "EVT-%08d" % record["record"], "format", "wrong id")
    inputs = []
    for name in ("ciphertext_sha256", "envelope_hash", "disclosure_root"):
        need(F.HEX.fullmatch(text(record[name], name)), "format", "%s is not 64 lower-case hexadecimal digits" % name)
        inputs.append(bytes.fromhex(record[name]))
    record["inputs"], record["path"] = inputs, path(record["record_path"])
    if record["erased"] is not None:
        whole_number(record["erased"], 32, "erased")
    if record["opened"] is not None:
        need(1 <= len(listed(record["opened"], "opened")) <= 8, "format", "number of sections")
        record["opened"] = [read_section(section) for section in record["opened"]]
    if record["note"] is not None:
        words(text(record["note"], "note"))
    return record


def digest(record):
    out = [b"sealtrail.org/evidence-record/v1\n", struct.pack(">QI", record["record"], record["block"]),
           F.record_leaf(*record["inputs"])]
    out.append(b"\x00" if record["erased"] is None else struct.pack(">BI", 1, record["erased"]))
    sections = record["opened"] or []
    out.append(bytes([len(sections)]))
    for section in sections:
        if section[0] == "whole":
            out += [b"\x01", section[2], sha256(section[1])]
        else:
            out += [b"\x02", struct.pack(">I", section[1]), section[2], struct.pack(">I", len(section[3]))]
            for field in section[3]:
                out += [struct.pack(">I", field[0]), field[4]]
    note = (record["note"] or "").encode()
    return sha256(*out, struct.pack(">I", len(note)), note)


def ascend(values, what):
    need(all(a < b for a, b in zip(values, values[1:])), "order", "%s do not ascend, or one is there twice" % what)


def check_block(value, ledger, size, root, writers):
    """(Block, block hash, Header or None)"""
    block_text = text(value["text"], "text").encode()
    log_path = path(value["log_path"])
    header_bytes = None if value["header"] is None else decode_base64(text(value["header"], "header"))
    block = F.parse_block(block_text)
    block_hash = sha256(b"\x00", block_text)
    F.check_inclusion(block_hash, block.height, size, log_path, root, "block")
    statement = block.statement
    need(statement.kind in ("records", "erasure"), "statement", "a block of neither records nor an erasure")
    need(statement.values["ledger"] == ledger, "origin", "a statement of another ledger")
    if writers and statement.kind == "records":
        name, key_id, signature = statement.note.signatures[0]
        signed = [w for w in writers if (w.name, w.id) == (name, key_id)]
        good = signed and P.ed25519_verify(signed[0].public, statement.note.text.encode(), signature)
        need(good, "signature", "a batch that none of the given writers signed")
    header = None
    if header_bytes is not None:
        need(statement.kind == "records", "format", "a header with an erasure")
        right = sha256(b"sealtrail.org/header/v1\n", header_bytes) == statement.values["header-hash"]
        need(right, "header", "not the header the writer signed")
        header = F.parse_header(header_bytes)
        names = (statement.values["ledger"], statement.note.signatures[0][0], statement.values["sequence"])
        need((header.ledger, header.writer, header.sequence) == names, "header", "the header of another batch")
    return block, block_hash, header


def check_opened(sections, names, root):
    """What is shown, as (section name, number of fields, [(pointer, kind, value)])."""
    need(len(sections) == len(names), "format", "not the sections of the batch")
    need(any(s[0] == "whole" or s[3] for s in sections), "format", "opened, and nothing is shown")
    event, roots, shown = events.Event(names), [], []
    for s, section in enumerate(sections):
        if section[0] == "whole":
            fields = event.add(s, section[1])
            roots.append((len(fields), F.section_root(section[2], fields)))
            shown.append((names[s], len(fields), fields))
            continue
        _, count, section_root, listed_fields = section
        need(count <= 4096, "format", "more fields than an event may have")
        ascend([field[0] for field in listed_fields], "shown fields")
        for index, pointer, _, _, leaf, leaf_path in listed_fields:
            try:
                F.check_inclusion(leaf, index, count, leaf_path, section_root, "field")
            except Refused:
                raise Refused("disclosure", "the field %s is not what the record committed to" % pointer) from None
        roots.append((count, section_root))
        shown.append((names[s], count, [(f[1], f[2], f[3].encode()) for f in listed_fields]))
    need(F.disclosure_root(roots) == root, "disclosure", "the roots are not those of disclosure_root")
    if 0 in event.opened:
        event.merged()
    return shown


def check_evidence(data, vkey, writer_vkeys=(), signer_vkey=None):
    """What the file proves: a list of (id, block height, writer, what is shown)."""
    file, ledger = members(load(data), FILE, "an evidence file"), F.parse_vkey(vkey)
    writers = [F.parse_vkey(key) for key in writer_vkeys]
    need(file["format"] == "sealtrail.org/evidence/v1", "format", "another format")
    blocks = [members(block, BLOCK, "a block") for block in listed(file["blocks"], "blocks")]
    records = [read_record(record) for record in listed(file["records"], "records")]
    need(1 <= len(records) <= 100000, "format", "number of records")
    manifest = parse_manifest(text(file["manifest"], "manifest"))
    need(text(file["ledger"], "ledger") == manifest["ledger"] == ledger.name, "origin", "evidence of another ledger")
    if signer_vkey:
        need(manifest["signer"] == [F.parse_vkey(signer_vkey)], "signature", "not signed by the key given")
    note, origin, size, root = F.parse_checkpoint(text(file["checkpoint"], "checkpoint"))
    need(origin == ledger.name, "origin", "the checkpoint is of another ledger")
    F.check_signed(note, ledger, "checkpoint")
    need((size, root) == (manifest["tree-size"], manifest["root-hash"]), "manifest", "made for another checkpoint")
    need(len(records) == manifest["records"], "manifest", "made for another number of records")
    checked = [check_block(block, ledger.name, size, root, writers) for block in blocks]
    ascend([block.height for block, _, _ in checked], "blocks")
    ascend([record["record"] for record in records], "records")
    named, opened, result = set(), set(), []
    for record in records:
        at = record["block"]
        need(at < len(checked) and checked[at][0].statement.kind == "records", "range", "no such block of records")
        block, _, header = checked[at]
        named.add(at)
        values = block.statement.values
        position = record["record"] - block.first_record
        need(0 <= position < values["records"], "range", "the record is not in this block")
        F.check_inclusion(F.record_leaf(*record["inputs"]), position, values["records"], record["path"], values["records-root"], "record")
        shown = "nothing"
        if record["erased"] is not None:
            need(record["opened"] is None, "format", "erased and opened")
            order = record["erased"]
            need(order < len(checked) and checked[order][0].statement.kind == "erasure", "range", "no such erasure")
            named.add(order)
            ranges = checked[order][0].statement.values["records"]
            good = any(a <= record["record"] <= b for a, b in ranges) and checked[order][0].height > block.height
            need(good, "erased", "the erasure does not name the record")
            shown = "erased by order in block %d" % checked[order][0].height
        elif record["opened"] is not None:
            opened.add(at)
            need(header, "format", "opened without a header")
            shown = check_opened(record["opened"], [name for name, _ in header.sections], record["inputs"][2])
        result.append((record["id"], block.height, block.statement.note.signatures[0][0], shown))
    need(named == set(range(len(checked))), "order", "a block that no record needs")
    need(all((header is not None) == (i in opened) for i, (_, _, header) in enumerate(checked)), "format", "a header that is not needed")
    hashes = [block_hash for _, block_hash, _ in checked]
    contents = sha256(b"sealtrail.org/evidence/v1\n", struct.pack(">I", len(hashes)), *hashes,
                      struct.pack(">I", len(records)), *(digest(record) for record in records))
    need(contents == manifest["contents"], "manifest", "not the contents the manifest was made for")
    return result
