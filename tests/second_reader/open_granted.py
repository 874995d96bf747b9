"""python3 open_granted.py BODY BLOCK RECORD GRANT-BODY GRANT-BLOCK IDENTITY: open a record by a grant, docs/FORMAT.md §12.

BODY and BLOCK are those of the batch that holds the record with index RECORD. Prints the event's bytes after all checks; exit 1 with the
reason otherwise."""
import struct
import sys
from typing import NamedTuple

from run_vectors import command, identity_scalar, key_text, read
import formats as F
import primitives as P
from formats import need


class Batch(NamedTuple):
    height: int
    position: int
    sections: list  # numbers of the granted sections
    enc: bytes
    search: bytes
    entries: list   # per record a list of slots, or None where they are gone


def parse_grant(data):
    """The batches, and the body with every entry of slots replaced by its gone entry."""
    need(len(data) <= 1 << 26, "format", "larger than a grant may be")
    c = F.Cursor(data)
    need(c.take(4) == b"STG1", "format", "not a grant body of version 1")
    count, heads = c.uint(4), []
    need(1 <= count <= 16384, "format", "number of batches")
    for _ in range(count):
        height, position, records, mask = c.uint(8), c.uint(4), c.uint(4), c.uint(1)
        sections = [s for s in range(8) if mask >> s & 1]
        enc, search = (c.take(32), c.bytes16()) if sections else (b"", b"")
        need(1 <= records and position + records <= 16384, "format", "number or position of records")
        need(not sections or len(search) in (16, 16 + 32 * len(sections)), "format", "length of the search secrets")
        heads.append((height, position, records, sections, enc, search))
    need(F.ascending([head[0] for head in heads]) and not any(head[1] for head in heads[1:]), "format", "batches out of order")
    need(any(head[3] for head in heads), "format", "grants nothing")
    blanked, batches = [data[:c.at]], []
    for height, position, records, sections, enc, search in heads:
        entries = []
        for _ in range(records if sections else 0):
            kind, rest = c.uint(1), c.take(32 * len(sections))
            need(kind in (1, 2) and (kind == 1 or not any(rest[32:])), "format", "not an entry")
            gone = rest if kind == 2 else P.sha256(b"sealtrail.org/granted/v1\n", rest) + bytes(len(rest) - 32)
            blanked.append(b"\x02" + gone)
            entries.append(None if kind == 2 else [rest[i:i + 32] for i in range(0, len(rest), 32)])
        batches.append((Batch(height, position, sections, enc, search, entries), records))
    c.end()
    return batches, b"".join(blanked)


def check_grant(statement, data):
    batches, blanked = parse_grant(data)
    values = statement.values
    need(statement.kind == "grant", "statement", "the block carries no grant")
    need(P.sha256(b"sealtrail.org/grant-body/v1\n", blanked) == values["slots-hash"], "slots-hash", "other slots")
    need(sum(n for _, n in batches) == values["last-record"] - values["first-record"] + 1, "range", "another number of records")
    return [batch for batch, _ in batches]


def open_granted(body, block, record, grant, statement, scalar):
    values, header = statement.values, body.header
    position = record - block.first_record
    need(P.x25519_public(scalar) == values["to"][1], "identity", "the grant is for another reader")
    batch = next((b for b in grant if b.height == block.height and b.entries), None)
    need(batch and 0 <= position - batch.position < len(batch.entries), "range", "the grant does not cover the record")
    need(all(s < len(header.sections) for s in batch.sections), "format", "more sections than the batch has")
    slots = batch.entries[position - batch.position]
    need(slots is not None, "erased", "the slots are gone")

    def context():
        info = b"sealtrail.org/grant-hpke/v1\n" + header.identity() + values["from"] + struct.pack(">Q", values["first-record"])
        hpke = P.hpke_receive(scalar, batch.enc, info)
        need(len(hpke.open(batch.search)) in (0, 32 * len(batch.sections)), "hpke", "the search secrets")
        given = {s: slot for s, slot in zip(batch.sections, slots) if any(slot)}
        return hpke, lambda s, _: given.get(s)
    return F.open_with(body, position, context)


def main(body, block, record, grant_body, grant_block, identity):
    F.check_block(read(block), read(body))
    statement = F.parse_block(read(grant_block)).statement
    grant = check_grant(statement, read(grant_body))
    event = open_granted(F.parse_body(read(body)), F.parse_block(read(block)), F.number(record), grant, statement,
                         identity_scalar(key_text(identity)))
    return F.readable_part(event)


if __name__ == "__main__":
    sys.exit(command(main, __doc__, 6, 6))
