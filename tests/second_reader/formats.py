"""Everything of docs/FORMAT.md that a reader decodes and checks. The paragraph signs are that page's sections."""
import base64
import datetime
import hmac
import json
import re
import struct
import unicodedata
from typing import NamedTuple

import events
import primitives as P
from primitives import Refused, decode_base64, hkdf_expand, sha256


def need(condition, family, message):
    if not condition:
        raise Refused(family, message)


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeError:
        raise Refused("format", "not UTF-8") from None


def number(text, bits=64):
    need(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 1 << bits, "format", "not a number: %r" % text)
    return int(text)


def encode16(text):
    return struct.pack(">H", len(text.encode())) + text.encode()


# ---- §3 Merkle trees (RFC 6962 §2.1, RFC 9162 §2.1.3.2)

def merkle_root(leaves):
    if not leaves:
        return sha256()
    while len(leaves) > 1:
        pairs = [sha256(b"\x01", leaves[i], leaves[i + 1]) for i in range(0, len(leaves) - 1, 2)]
        leaves = pairs + leaves[len(pairs) * 2:]
    return leaves[0]


def check_inclusion(leaf, index, size, path, root, what):
    fn, sn, r = index, size - 1, leaf
    need(index < size, "range", "a tree of %d leaves has no %s of index %d" % (size, what, index))
    good = True
    for p in path:
        good = good and sn > 0
        if fn & 1 or fn == sn:
            r = sha256(b"\x01", p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\x01", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(good and sn == 0 and r == root, "inclusion", "the path does not lead from the %s to its root" % what)


def disclosure_root(sections):
    return sha256(b"sealtrail.org/disclosure/v1\n", bytes([len(sections)]),
                  *(struct.pack(">I", count) + root for count, root in sections))


def record_leaf(ciphertext_hash, envelope_hash, root):
    return sha256(b"\x00sealtrail.org/leaf/v1\n", ciphertext_hash, envelope_hash, root)


def tags_root(pairs):
    entries = sorted(tag + struct.pack(">I", position) for tag, position in pairs)
    chunks = [b"".join(entries[i:i + 64]) for i in range(0, len(entries), 64)]
    return merkle_root([sha256(b"\x00sealtrail.org/tags/v1\n", chunk) for chunk in chunks])


def section_root(salt_key, fields):
    """Root over the field leaves, §5 step 5."""
    stream, leaves = b"", []
    for i, (pointer, kind, value) in enumerate(fields):
        if i % 4 == 0:
            stream = P.chacha20_block(salt_key, i // 4)
        salt = stream[i % 4 * 16:i % 4 * 16 + 16]
        need(len(pointer.encode()) < 1 << 16, "payload", "a pointer longer than 65,535 bytes")
        leaves.append(sha256(b"\x00stf1", salt, encode16(pointer), kind.encode(), value))
    return merkle_root(leaves)


# ---- §2 keys and C2SP notes

class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes


class Note(NamedTuple):
    text: str
    signatures: list  # (key name, key ID, signature)


def key_name(text):
    need(1 <= len(text.encode()) <= 255 and not any(
        c == "+" or c.isspace() or unicodedata.category(c) == "Cc" for c in text), "format", "not a key name: %r" % text)
    return text


def parse_vkey(text, type_byte=1):
    parts = text.split("+", 2)
    need(len(parts) == 3, "format", "not a verifier key")
    data = decode_base64(parts[2], 33)
    key_id = sha256(key_name(parts[0]).encode(), b"\n", data)[:4]
    need(data[0] == type_byte and parts[1] == key_id.hex(), "format", "verifier key of another type, or a wrong key ID")
    need(P.ed25519_usable(data[1:]), "format", "the key is not the canonical encoding of a point, or of small order")
    return Key(parts[0], key_id, data[1:])


def parse_note(text):
    need(not any(ord(c) < 32 and c != "\n" for c in text), "format", "control character in a note")
    at = text.rfind("\n\n")
    need(at > 0 and text.endswith("\n") and at + 2 < len(text), "format", "not a note: no text or no signatures")
    signatures, lines = [], text[at + 2:-1].split("\n")
    need(len(lines) <= 32, "format", "more than 32 signature lines")
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\u2014", "format", "not a signature line: %r" % line[:80])
        data = decode_base64(parts[2])
        need(len(data) > 4, "format", "signature too short")
        signatures.append((key_name(parts[1]), data[:4], data[4:]))
    return Note(text[:at + 1], signatures)


def check_signed(note, key, what):
    """Every signature naming the key must hold, and there must be one."""
    lines = [signature for name, key_id, signature in note.signatures if (name, key_id) == (key.name, key.id)]
    need(lines and all(P.ed25519_verify(key.public, note.text.encode(), line) for line in lines),
         "signature", "no valid signature of %s on the %s" % (key.name, what))


def parse_checkpoint(text):
    """(Note, origin, size, root); §9 allows no extension lines."""
    note = parse_note(text)
    lines = note.text.split("\n")[:-1]
    need(len(lines) == 3, "format", "a checkpoint has exactly three lines")
    return note, lines[0], number(lines[1]), decode_base64(lines[2], 32)


def parse_tlog_proof(text):
    """(index, path, checkpoint text)"""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    need(blank and lines[0] == "c2sp.org/tlog-proof@v1" and len(lines) > 1 and lines[1].startswith("index "),
         "format", "not a tlog-proof without an extra line")
    return number(lines[1][6:]), [decode_base64(line, 32) for line in lines[2:]], checkpoint


# ---- §7 statements

def time(text, form="%Y-%m-%dT%H:%M:%S.%fZ", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"):
    try:
        good = re.fullmatch(pattern, text) and datetime.datetime.strptime(text, form)
    except ValueError:
        good = False
    need(good, "format", "not a time or date: %r" % text)
    return text


def date(text):
    return time(text, "%Y-%m-%d", "[0-9]{4}-[0-9]{2}-[0-9]{2}")


def hash32(text):
    return decode_base64(text, 32)


def recipient(text):
    public = P.bech32_decode(text, "age")
    need(P.x25519_usable(public), "format", "a recipient of small order, or not canonical")
    return public


def named_reader(text):
    parts = text.split(" ")
    need(len(parts) == 2, "format", "not NAME and recipient")
    return key_name(parts[0]), recipient(parts[1])


def roster_reader(text):
    required = text.endswith(" required")
    return named_reader(text[:-9] if required else text) + (required,)


def witness_key(text):
    return parse_vkey(text, 4)


def record_range(text):
    first, dots, last = text.partition("..")
    need(dots and number(first) <= number(last), "format", "not a range A..B: %r" % text)
    return int(first), int(last)


def reason(text):
    need(re.fullmatch("[a-z0-9.-]{1,64}", text), "format", "not a reason code")
    return text


def legal_basis(text):
    need(1 <= len(text) <= 1000 and text == text.strip() and not any(unicodedata.category(c) == "Cc" for c in text),
         "format", "legal-basis is 1 to 1000 characters without control characters and white space around them")
    return text


def hold_name(text):
    need(re.fullmatch("[a-z0-9._-]{1,64}", text), "format", "not the name of a hold")
    return text


def hold_action(text):
    need(text in ("place", "release"), "format", "not an action")
    return text


COMMON = [("ledger", key_name), ("sequence", number), ("previous", hash32)]
ISSUED = COMMON + [("issued", time)]
STATEMENTS = {
    "records": COMMON + [("sealed", time), ("records", number), ("bytes", number), ("records-root", hash32),
                         ("tags-root", hash32), ("header-hash", hash32), ("retain-until", date)],
    "heartbeat": ISSUED,
    "roster": ISSUED + [("ledger-key", parse_vkey), ("admin+", parse_vkey), ("writer*", parse_vkey), ("reader*", roster_reader),
                        ("officers-required", number), ("officer*", parse_vkey), ("witness*", witness_key)],
    "grant": ISSUED + [("first-record", number), ("last-record", number), ("from", recipient), ("to", named_reader),
                       ("slots-hash", hash32)],
    "erasure": ISSUED + [("records+", record_range), ("reason", reason), ("legal-basis", legal_basis)],
    "hold": ISSUED + [("hold", hold_name), ("action", hold_action), ("records*", record_range), ("reason", reason)],
}


class Statement(NamedTuple):
    kind: str
    values: dict  # repeated lines give a list
    note: Note


def parse_statement(text):
    note = parse_note(text)
    lines = note.text.split("\n")[:-1]
    match = re.fullmatch("sealtrail.org/([a-z]+)/v1", lines.pop(0))
    need(match and match.group(1) in STATEMENTS, "format", "not a statement of version 1")
    kind, values = match.group(1), {}
    for spec, parser in STATEMENTS[kind]:
        name = spec.rstrip("+*")
        found = []
        while lines and lines[0].startswith(name + " ") and (spec != name or not found):
            found.append(parser(lines.pop(0)[len(name) + 1:]))
        need(found or spec.endswith("*"), "format", "%s statement without %s where it belongs" % (kind, name))
        values[name] = found[0] if spec == name else found
        keys = [value[0] for value in values[name]] if spec != name else []
        need(all(a < b for a, b in zip(keys, keys[1:])), "format", "%s lines do not ascend" % name)
    need(not lines, "format", "extra line in a statement: %r" % (lines or [""])[0][:80])
    if kind == "records":
        need(1 <= values["records"] <= 16384 and values["bytes"] <= 1 << 26, "format", "no such batch")
    elif kind == "roster":
        need(values["ledger-key"].name == values["ledger"], "format", "the ledger key has another name than the origin")
        need(values["officers-required"] <= len(values["officer"]), "format", "more officers required than there are")
        for name, at in (("admin", 2), ("writer", 2), ("reader", 1), ("officer", 2), ("witness", 2)):
            public = [value[at] for value in values[name]]
            need(len(set(public)) == len(public), "format", "one %s key has two names" % name)
    elif kind == "grant":
        need(values["first-record"] <= values["last-record"], "format", "the last record is before the first")
    elif kind in ("erasure", "hold"):
        ranges = values["records"]
        need(kind == "erasure" or bool(ranges) == (values["action"] == "place"), "format", "records come with a place, and only with it")
        need(all(a[1] + 1 < b[0] for a, b in zip(ranges, ranges[1:])), "format", "ranges overlap, touch or descend")
    need(kind not in ("records", "heartbeat") or len(note.signatures) == 1, "format", "a writer's statement has one signature")
    return Statement(kind, values, note)


# ---- §8 block

class Block(NamedTuple):
    height: int
    previous: bytes
    committed: str
    first_record: int
    statement: Statement


def parse_block(data):
    need(len(data) <= 65535, "format", "a block is at most 65,535 bytes")
    head, _, statement = utf8(data).partition("\n\n")
    lines = head.split("\n")
    need(len(lines) == 5 and lines[0] == "sealtrail.org/block/v1", "format", "not a block of version 1")
    values = []
    for line, (name, parser) in zip(lines[1:], (("height", number), ("previous", hash32), ("committed", time), ("first-record", number))):
        need(line.startswith(name + " "), "format", "block without %s where it belongs" % name)
        values.append(parser(line[len(name) + 1:]))
    return Block(*values, parse_statement(statement))


# ---- §4 header, §5 record, §6 body

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        need(self.at <= len(self.data), "format", "truncated")
        return self.data[self.at - length:self.at]

    def uint(self, size):
        return int.from_bytes(self.take(size), "big")

    def bytes16(self):
        return self.take(self.uint(2))

    def str16(self):
        return utf8(self.bytes16())

    def end(self):
        need(self.at == len(self.data), "format", "trailing bytes")


class Header(NamedTuple):
    ledger: str
    writer: str
    sequence: int
    period: str
    readers: list   # (kem, public key, enc, search)
    sections: list  # (name, reader indices)
    tag_fields: list

    def identity(self):
        return encode16(self.ledger) + encode16(self.writer) + struct.pack(">Q", self.sequence)


class Section(NamedTuple):
    ciphertext: bytes
    commitment: bytes
    fields_root: tuple  # (fields, root), None when there is one section
    slots: list


class Record(NamedTuple):
    ciphertext_hash: bytes
    envelope_hash: bytes
    disclosure_root: bytes
    sections: list  # None if erased
    tags: list


class Body(NamedTuple):
    header_bytes: bytes
    header: Header
    records: list


def ascending(items):
    return all(a < b for a, b in zip(items, items[1:]))


def parse_header(data):
    c = Cursor(data)
    need(c.uint(1) == 1, "format", "unknown header version")
    header = Header(c.str16(), c.str16(), c.uint(8), c.str16(),
                    [(c.uint(2), c.bytes16(), c.bytes16(), c.bytes16()) for _ in range(c.uint(1))],
                    [(c.str16(), list(c.take(c.uint(1)))) for _ in range(c.uint(1))],
                    [c.str16() for _ in range(c.uint(1))])
    c.end()
    key_name(header.ledger), key_name(header.writer)
    names = [name for name, _ in header.sections]
    for name in [header.period] + names + header.tag_fields:
        need(re.fullmatch("[a-z0-9._-]{1,64}", name), "format", "not a section name, field name or period: %r" % name[:80])
    need(1 <= len(header.readers) <= 64 and 1 <= len(names) <= 8, "format", "number of readers or sections")
    need(len(set(names)) == len(names) and len(set(header.tag_fields)) == len(header.tag_fields), "format", "a name is there twice")
    need(len(header.tag_fields) <= 32, "format", "more than 32 tag fields")
    need(ascending([reader[:2] for reader in header.readers]), "format", "readers do not ascend")
    for _, indices in header.sections:
        need(indices and ascending(indices) and all(i < len(header.readers) for i in indices), "format", "wrong reader indices")
    for r, (kem, public, enc, search) in enumerate(header.readers):
        readable = sum(r in indices for _, indices in header.sections)
        need(readable, "format", "a reader is in no section")
        need(kem != 0x20 or (len(public), len(enc), len(search)) == (32, 32, 32 * readable + 16), "format", "wrong key lengths")
    return header


def parse_record(data, header):
    c = Cursor(data)
    version = c.uint(1)
    if version == 2:
        record = Record(c.take(32), c.take(32), c.take(32), None, None)
        c.end()
        return record
    need(version == 1, "format", "unknown kind of record")
    root, start = c.take(32), c.at
    need(c.uint(1) == len(header.sections), "format", "the record's sections are not the header's")
    parts = []
    for _, readers in header.sections:
        length, commitment = c.uint(4), c.take(32)
        fields_root = (c.uint(4), c.take(32)) if len(header.sections) > 1 else None
        need(c.uint(1) == len(readers), "format", "the record's readers are not the header's")
        parts.append((length, commitment, fields_root, [c.take(32) for _ in readers]))
    tags = [c.take(8) for _ in range(c.uint(1))]
    need(ascending(tags), "format", "tags do not ascend")
    envelope, at = data[start:c.at], c.at
    sections = [Section(c.take(part[0]), *part[1:]) for part in parts]
    c.end()
    return Record(sha256(data[at:]), sha256(b"sealtrail.org/envelope/v1\n", envelope), root, sections, tags)


def parse_body(data):
    c = Cursor(data)
    need(c.take(4) == b"STB1", "format", "not a batch body of version 1")
    header_bytes = c.take(c.uint(4))
    header = parse_header(header_bytes)
    count = c.uint(4)
    need(1 <= count <= 16384 and count * 4 <= len(data) - c.at, "format", "number of records, or truncated")
    lengths = [c.uint(4) for _ in range(count)]
    body = Body(header_bytes, header, [parse_record(c.take(length), header) for length in lengths])
    c.end()
    return body


# ---- §5 opening: four mandatory checks, each a function of its own

def padme(length):
    e = length.bit_length() - 1
    z = e - e.bit_length()
    return (length + (1 << z) - 1) >> z << z


def check_commitment(key, commitment):
    need(hmac.compare_digest(hkdf_expand(key, b"sealtrail.org/key/v1 commit"), commitment),
         "commitment", "the slot does not hold the key that the section commits to")


def remove_padding(padded):
    payload = padded.rstrip(b"\x00")
    need(payload.endswith(b"\x80") and len(padded) == padme(max(len(payload), 128)), "padding", "the padding is not exact")
    return payload[:-1]


def check_disclosure(opened, section, record, sections):
    """`opened`: the (fields, root) just recomputed; unreadable sections count with what the envelope says."""
    need(section.fields_root in (None, opened), "disclosure", "the section's fields are not those committed to")
    roots = [opened if s.fields_root is None else s.fields_root for s in sections]
    need(disclosure_root(roots) == record.disclosure_root, "disclosure", "the roots are not those of disclosure_root")


def batch_context(header, scalar):
    """(reader index, HPKE context) of the reader with this X25519 identity, §4."""
    public = P.x25519_public(scalar)
    for r, (kem, key, enc, _) in enumerate(header.readers):
        if (kem, key) == (0x20, public):
            return r, P.hpke_receive(scalar, enc, b"sealtrail.org/hpke/v1\n" + header.identity())
    raise Refused("identity", "this identity is no reader of the batch")


def open_record(body, position, scalar):
    """The events.Event with the payload of every section that the identity may read, all checks made."""
    def slots():
        r, hpke = batch_context(body.header, scalar)
        mine = [indices.index(r) if r in indices else None for _, indices in body.header.sections]
        return hpke, lambda s, section: None if mine[s] is None else section.slots[mine[s]]
    return open_with(body, position, slots)


def open_with(body, position, slots):
    """`slots()` gives an HPKE context, and a function that gives the slot of a section number and section, or None."""
    header = body.header
    need(position < len(body.records), "range", "the batch has no such position")
    record = body.records[position]
    need(record.sections is not None, "erased", "the record has been erased")
    hpke, slot_of = slots()
    wrapping_key = hpke.export(b"sealtrail.org/slots/v1", 32)
    context = sha256(b"sealtrail.org/record/v1\n", header.identity())
    event = events.Event([name for name, _ in header.sections])
    for s, section in enumerate(record.sections):
        slot = slot_of(s, section)
        if slot is None:
            continue
        block = P.chacha20_block(wrapping_key, position * len(header.sections) + s)
        key = P.xor(slot, block[:32])
        check_commitment(key, section.commitment)
        aad = context + struct.pack(">IB", position, s)
        padded = P.aead_open(hkdf_expand(key, b"sealtrail.org/key/v1 encrypt"), bytes(12), section.ciphertext, aad)
        fields = event.add(s, remove_padding(padded))
        opened = (len(fields), section_root(hkdf_expand(key, b"sealtrail.org/key/v1 salts"), fields))
        check_disclosure(opened, section, record, record.sections)
    need(event.opened, "identity", "this identity may read no section of the batch")
    return event


def readable_part(event):
    """The event's bytes (markers left where not readable); without section 0, one payload per line."""
    if 0 in event.opened:
        return event.merged()
    return b"\n".join(text.encode() for _, (text, _) in sorted(event.opened.items()))


# ---- §5 blind tags

def blind_tag(section_secret, field, value):
    return P.hmac_sha256(section_secret, field.encode() + b"\x00" + value)[:8]


def section_secret(search_secret, section):
    return hkdf_expand(search_secret, b"sealtrail.org/search/v1 " + section.encode())


def check_tags(body, position, scalar, policy):
    """Recompute the tags of what this identity may read; `policy` maps each field name to a list of pointers.
    All of the record's tags must come out if it may read all sections, else no other than the record's."""
    event = open_record(body, position, scalar)
    header, record = body.header, body.records[position]
    need(0 in event.opened, "identity", "tags can be recomputed only by a reader of section 0")
    r, hpke = batch_context(header, scalar)
    secrets = Cursor(hpke.open(header.readers[r][3]))
    secret_of = {s: secrets.take(32) for s, (_, indices) in enumerate(header.sections) if r in indices}
    secrets.end()
    tags = set()
    for path, s, node in event.walk():
        for field, pointers in policy.items():
            value = events.normalised(node)
            if value is not None and any(events.pointer_matches(pointer, path) for pointer in pointers):
                tags.add(blind_tag(secret_of[s], field, value))
    complete = len(secret_of) == len(header.sections)
    need(tags == set(record.tags) if complete else tags <= set(record.tags), "tags", "the tags are not those of the event")
    return sorted(tags)


# ---- §11 reader session

def open_challenge(ledger, scalar, enc, ciphertext):
    """The bearer token, as its base64 text."""
    need(len(enc) == 32, "format", "an encapsulated key has 32 bytes")
    hpke = P.hpke_receive(scalar, enc, b"sealtrail.org/session/v1\n" + encode16(ledger))
    return base64.b64encode(hpke.open(ciphertext)).decode()


# ---- §10 proof file, and a body against its block

HEX = re.compile("[0-9a-f]{64}")
PROOF_MEMBERS = {"format", "ledger", "record", "id", "ciphertext_sha256", "envelope_hash", "disclosure_root", "record_path",
                 "block", "log_proof"}


def parse_proof(data):
    def no_twice(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "format", "member name twice")
        return dict(pairs)
    def plain_integer(text):
        return number(text)
    try:
        proof = json.loads(utf8(data), object_pairs_hook=no_twice, parse_int=plain_integer)
        json.dumps(proof, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("format", "not JSON, or with a lone surrogate") from None
    need(isinstance(proof, dict) and set(proof) == PROOF_MEMBERS, "format", "not exactly the members of a proof")
    record, path = proof["record"], proof["record_path"]
    need(type(record) is int, "format", "record is not an index")
    need(isinstance(path, list) and all(isinstance(v, str) for v in path), "format", "record_path is not a list of strings")
    need(all(isinstance(proof[name], str) for name in PROOF_MEMBERS - {"record", "record_path"}), "format", "a member is no string")
    need(proof["format"] == "sealtrail.org/proof/v1" and proof["id"] == "EVT-%08d" % record, "format", "wrong format or id")
    for name in ("ciphertext_sha256", "envelope_hash", "disclosure_root"):
        need(HEX.fullmatch(proof[name]), "format", "%s is not 64 lower-case hexadecimal digits" % name)
    return proof


def check_proof(data, vkey, writer_vkey=None, body=None):
    """Returns what is proven. The writer's signature and the record's bytes are checked when given."""
    proof, ledger = parse_proof(data), parse_vkey(vkey)
    index, path, checkpoint = parse_tlog_proof(proof["log_proof"])
    note, origin, size, root = parse_checkpoint(checkpoint)
    need(ledger.name == origin == proof["ledger"], "origin", "the proof is not of the ledger %s" % ledger.name)
    check_signed(note, ledger, "checkpoint")
    block_bytes = proof["block"].encode()
    block = parse_block(block_bytes)
    statement, values = block.statement, block.statement.values
    need(block.height == index, "range", "the block's height is not its index in the log")
    check_inclusion(sha256(b"\x00", block_bytes), index, size, path, root, "block")
    need(statement.kind == "records", "statement", "the block carries no records")
    need(values["ledger"] == ledger.name, "origin", "the statement is of another ledger")
    position = proof["record"] - block.first_record
    need(0 <= position < values["records"], "range", "the record is not in this block")
    inputs = [bytes.fromhex(proof[name]) for name in ("ciphertext_sha256", "envelope_hash", "disclosure_root")]
    record_path = [decode_base64(text, 32) for text in proof["record_path"]]
    check_inclusion(record_leaf(*inputs), position, values["records"], record_path, values["records-root"], "record")
    if writer_vkey:
        check_signed(statement.note, parse_vkey(writer_vkey), "statement")
    if body is not None:
        records = parse_body(body).records
        need(position < len(records) and list(records[position][:3]) == inputs, "record", "the bytes are not the proven record's")
    return {"id": proof["id"], "ledger": origin, "block": block.height, "position": position, "log size": size,
            "committed": block.committed, "sealed": values["sealed"], "writer": statement.note.signatures[0][0],
            "writer's signature": "checked" if writer_vkey else "NOT checked (no writer key given)",
            "record bytes": "checked" if body is not None else "not given"}


def check_block(block_data, body_data):
    """Recompute what the block's statement says of the body."""
    statement, body = parse_block(block_data).statement, parse_body(body_data)
    need(statement.kind == "records", "statement", "the block carries no records")
    values, header, records = statement.values, body.header, body.records
    erased = sum(record.sections is None for record in records)
    need(values["records"] == len(records), "records", "another number of records")
    need(values["header-hash"] == sha256(b"sealtrail.org/header/v1\n", body.header_bytes), "header-hash", "another header")
    need((header.ledger, header.sequence, header.writer) == (values["ledger"], values["sequence"], statement.note.signatures[0][0]),
         "header", "the header is of another ledger, writer or sequence than the statement")
    need(values["records-root"] == merkle_root([record_leaf(*record[:3]) for record in records]), "records-root", "other records")
    if not erased:  # an erasure takes the tags and the bytes away
        pairs = [(tag, position) for position, record in enumerate(records) for tag in record.tags]
        need(values["tags-root"] == tags_root(pairs), "tags-root", "other tags")
        need(values["bytes"] == len(body_data), "bytes", "another length")
    return {"ledger": header.ledger, "writer": header.writer, "sequence": header.sequence, "records": len(records), "erased": erased,
            "tags-root and bytes": "NOT checked (records erased)" if erased else "checked"}
