"""A sealing side for selftest.py only. Its keys come from a counter and its arithmetic leaks timing: never seal anything real with it.

`twist(step, value)` may replace the value of any step, so that a test can break exactly one thing.
"""
import base64
import hashlib
import json
import struct

import events
import formats as F
import primitives as P
from primitives import hkdf_expand, sha256

CHARSET, LABEL = P.BECH32, b"sealtrail.org/"
COUNTER = [0]


def honest(_step, value):
    return value


def fresh():
    """The next of a fixed series of 32-byte keys."""
    COUNTER[0] += 1
    return sha256(b"second reader test key %d" % COUNTER[0])


def b64(data):
    return base64.b64encode(data).decode()


def bech32_encode(hrp, data):
    bits = "".join(format(byte, "08b") for byte in data)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    check = P.bech32_checksum(hrp.lower(), values + [0] * 6) ^ 1
    text = "".join(CHARSET[v] for v in values + [check >> 5 * (5 - i) & 31 for i in range(6)])
    return hrp + "1" + (text.upper() if hrp.isupper() else text)


def aead_seal(key, nonce, plaintext, aad):
    ciphertext = P.chacha20(key, 1, nonce, plaintext)
    return ciphertext + P.aead_tag(key, nonce, ciphertext, aad)


def hpke_send(ephemeral, recipient, info):
    enc = P.x25519_public(ephemeral)
    return enc, P.HpkeContext(P.x25519(ephemeral, recipient), enc, recipient, info)


# ---- Ed25519 signing, RFC 8032 §5.1.6

def point_encode(point):
    z = pow(point[2], P.P25519 - 2, P.P25519)
    x, y = point[0] * z % P.P25519, point[1] * z % P.P25519
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519_sign(seed, message):
    digest = hashlib.sha512(seed).digest()
    a = int.from_bytes(digest[:32], "little") & ~7 & ((1 << 254) - 1) | (1 << 254)
    public = point_encode(P.point_mul(a, P.BASE))
    r = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % P.L25519
    big_r = point_encode(P.point_mul(r, P.BASE))
    k = int.from_bytes(hashlib.sha512(big_r + public + message).digest(), "little") % P.L25519
    return public, big_r + ((r + k * a) % P.L25519).to_bytes(32, "little")


class Signer:
    def __init__(self, name, type_byte=1):
        self.name, self.seed = name, fresh()
        public = ed25519_sign(self.seed, b"")[0]
        self.id = sha256(name.encode() + b"\n" + bytes([type_byte]) + public)[:4]
        self.vkey = "%s+%s+%s" % (name, self.id.hex(), b64(bytes([type_byte]) + public))

    def note(self, text):
        return "%s\n\u2014 %s %s\n" % (text, self.name, b64(self.id + ed25519_sign(self.seed, text.encode())[1]))


# ---- batch

class Batch:
    """readers: list of X25519 scalars; sections: list of (name, list of places in `readers`)."""

    def __init__(self, ledger, writer, sequence, readers, sections, search_secret=bytes(32), tag_fields=()):
        self.ledger, self.writer, self.sequence, self.sections = ledger, writer, sequence, sections
        self.names, self.search_secret = [name for name, _ in sections], search_secret
        identity = F.encode16(ledger) + F.encode16(writer) + struct.pack(">Q", sequence)
        self.context = sha256(LABEL + b"record/v1\n" + identity)
        order = sorted(range(len(readers)), key=lambda r: P.x25519_public(readers[r]))
        self.indices = [sorted(order.index(r) for r in places) for _, places in sections]
        encoded, self.wrapping = [], []
        for place in order:
            public = P.x25519_public(readers[place])
            enc, hpke = hpke_send(fresh(), public, LABEL + b"hpke/v1\n" + identity)
            secrets = b"".join(hkdf_expand(search_secret, LABEL + b"search/v1 " + name.encode())
                               for name, places in sections if place in places)
            search = aead_seal(hpke.key, hpke.nonce, secrets, b"")
            encoded.append(b"\x00\x20" + b"".join(struct.pack(">H", len(x)) + x for x in (public, enc, search)))
            self.wrapping.append(hpke.export(LABEL + b"slots/v1", 32))
        self.header = (b"\x01" + identity + F.encode16("2025-01") + bytes([len(encoded)]) + b"".join(encoded)
                       + bytes([len(sections)]) + b"".join(F.encode16(name) + bytes([len(i)]) + bytes(i)
                                                           for name, i in zip(self.names, self.indices))
                       + bytes([len(tag_fields)]) + b"".join(F.encode16(name) for name in tag_fields))

    def seal(self, position, payloads, tags=(), twist=honest):
        """The bytes of one record; each payload is the exact bytes of a section."""
        ciphertexts, entries, roots = [], [], []
        for s, payload in enumerate(payloads):
            key = fresh()
            enc_key, salt_key, commitment = (hkdf_expand(key, LABEL + b"key/v1 " + use) for use in (b"encrypt", b"salts", b"commit"))
            padded = payload + b"\x80"
            padded = twist("padded", padded + bytes(F.padme(max(len(padded), 128)) - len(padded)))
            aad = twist("aad", self.context + struct.pack(">IB", position, s))
            ciphertexts.append(twist("ciphertext", aead_seal(enc_key, bytes(12), padded, aad)))
            try:
                fields = events.Event(self.names).add(s, payload)
            except P.Refused:  # a test of a payload that is to be refused
                fields = []
            roots.append(twist("section root", (len(fields), F.section_root(salt_key, fields))))
            slots = [P.xor(key, P.chacha20_block(self.wrapping[r], position * len(payloads) + s)) for r in self.indices[s]]
            entries.append((twist("commitment", commitment), roots[-1], slots))
        disclosure = twist("disclosure_root", F.disclosure_root(roots))
        envelope = bytes([len(payloads)])
        for ciphertext, (commitment, (count, root), slots) in zip(ciphertexts, entries):
            shown = struct.pack(">I", count) + root if len(payloads) > 1 else b""
            envelope += struct.pack(">I", len(ciphertext)) + commitment + shown + bytes([len(slots)]) + b"".join(slots)
        tags = twist("tags", sorted(set(tags)))
        envelope += bytes([len(tags)]) + b"".join(tags)
        return twist("record", b"\x01" + disclosure + envelope + b"".join(ciphertexts))

    def body(self, records):
        return (b"STB1" + struct.pack(">I", len(self.header)) + self.header + struct.pack(">I", len(records))
                + b"".join(struct.pack(">I", len(record)) for record in records) + b"".join(records))

    def tag(self, section, field, value):
        secret = hkdf_expand(self.search_secret, LABEL + b"search/v1 " + section.encode())
        return P.hmac_sha256(secret, field.encode() + b"\x00" + value)[:8]


def erased(record):
    return b"\x02" + b"".join(record[:3])


# ---- block, log and proof

def statement_text(batch, body, **changed):
    parsed = F.parse_body(body)
    pairs = [(tag, p) for p, record in enumerate(parsed.records) for tag in record.tags or []]
    lines = {"ledger": batch.ledger, "sequence": batch.sequence, "previous": b64(bytes(32) if batch.sequence == 0 else fresh()),
             "sealed": "2025-01-02T03:04:05.006Z", "records": len(parsed.records), "bytes": len(body),
             "records-root": b64(F.merkle_root([F.record_leaf(*record[:3]) for record in parsed.records])),
             "tags-root": b64(F.tags_root(pairs)), "header-hash": b64(sha256(LABEL + b"header/v1\n", batch.header)),
             "retain-until": "2035-01-02"}
    lines.update({name.replace("_", "-"): value for name, value in changed.items()})
    return "sealtrail.org/records/v1\n" + "".join("%s %s\n" % line for line in lines.items())


def block_text(height, first_record, statement):
    return ("sealtrail.org/block/v1\nheight %d\nprevious %s\ncommitted 2025-01-02T03:04:06.000Z\nfirst-record %d\n\n%s"
            % (height, b64(fresh() if height else bytes(32)), first_record, statement))


def merkle_path(index, leaves):
    """RFC 6962 §2.1.1, the leaf's sibling first."""
    if len(leaves) < 2:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return merkle_path(index, leaves[:k]) + [F.merkle_root(leaves[k:])]
    return merkle_path(index - k, leaves[k:]) + [F.merkle_root(leaves[:k])]


def proof_file(ledger_key, body, position, block, height, first_record, log_size, **changed):
    """Proof of record `position` of the body, whose block is entry `height` of a log with otherwise made-up entries."""
    leaves = [sha256(b"\x00", block.encode()) if i == height else fresh() for i in range(log_size)]
    checkpoint = ledger_key.note("%s\n%d\n%s\n" % (ledger_key.name, log_size, b64(F.merkle_root(leaves))))
    log_proof = "c2sp.org/tlog-proof@v1\nindex %d\n%s\n%s" % (
        height, "".join(b64(node) + "\n" for node in merkle_path(height, leaves)), checkpoint)
    records = F.parse_body(body).records
    record_leaves = [F.record_leaf(*record[:3]) for record in records]
    number = first_record + position
    proof = {"format": "sealtrail.org/proof/v1", "ledger": ledger_key.name, "record": number, "id": "EVT-%08d" % number,
             "ciphertext_sha256": records[position][0].hex(), "envelope_hash": records[position][1].hex(),
             "disclosure_root": records[position][2].hex(), "record_path": [b64(n) for n in merkle_path(position, record_leaves)],
             "block": block, "log_proof": log_proof}
    proof.update(changed)
    return json.dumps(proof, indent=1).encode()
