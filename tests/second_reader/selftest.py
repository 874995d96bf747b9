"""python3 selftest.py [DIR]: RFC test vectors of primitives.py, then batches sealed by sealer.py and read back, honest and broken.

Every case is written as a vectors folder (VECTORS.md) and run by run_vectors.py; with DIR the folders are kept there.
"""
import json
import os
import sys
import tempfile

import events
import formats as F
import primitives as P
import run_vectors
import sealer as S

DONE = [0]
HEX = bytes.fromhex


def same(got, expected, what):
    DONE[0] += 1
    if got != expected:
        sys.exit("FAIL %s\n  got      %r\n  expected %r" % (what, got, expected))


def refused(family, call, *arguments):
    try:
        got = call(*arguments)
    except P.Refused as error:
        got = error.family
    same(got, family, "%s%r" % (call.__name__, arguments))


def primitives():
    # RFC 7748 §5.2, §6.1
    same(P.x25519(HEX("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                  HEX("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")).hex(),
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", "X25519")
    same(P.x25519_public(HEX("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")).hex(),
         "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", "X25519 public key")
    # RFC 8439 §2.3.2, §2.5.2, §2.8.2
    same(P.chacha20_block(bytes(range(32)), 1, HEX("000000090000004a00000000")).hex()[:64],
         "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e", "ChaCha20")
    same(P.poly1305(HEX("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"), b"Cryptographic Forum Research Group").hex(),
         "a8061dc1305136c6c22b8baf0c0127a9", "Poly1305")
    text = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
    key, nonce, aad = bytes(range(0x80, 0xA0)), HEX("070000004041424344454647"), HEX("50515253c0c1c2c3c4c5c6c7")
    sealed = S.aead_seal(key, nonce, text, aad)
    same((sealed[:16].hex(), sealed[-16:].hex()), ("d31a8d34648e60db7b86afbc53ef7ec2", "1ae10b594f09e26a7e902ecbd0600691"), "AEAD")
    same(P.aead_open(key, nonce, sealed, aad), text, "AEAD opening")
    refused("aead", P.aead_open, key, nonce, sealed, aad + b"x")
    refused("aead", P.aead_open, key, nonce, b"short", aad)
    # RFC 5869 A.1
    prk = P.hkdf_extract(bytes(range(13)), b"\x0b" * 22)
    same(P.hkdf_expand(prk, bytes(range(0xF0, 0xFA)), 42).hex(),
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", "HKDF")
    # RFC 9180 A.2.1
    hpke = P.hpke_receive(HEX("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"),
                          HEX("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
                          HEX("4f6465206f6e2061204772656369616e2055726e"))
    same(hpke.open(HEX("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"), b"Count-0"),
         b"Beauty is truth, truth beauty", "HPKE open")
    same(hpke.export(b"TestContext", 32).hex(), "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53", "HPKE export")
    refused("hpke", P.hpke_receive, bytes(32), bytes(32), b"")
    # RFC 8032 §7.1 test 2, then what strict verification adds
    public = HEX("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = HEX("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    larger = signature[:32] + (int.from_bytes(signature[32:], "little") + P.L25519).to_bytes(32, "little")
    one, one_again = (1).to_bytes(32, "little"), (P.P25519 + 1).to_bytes(32, "little")
    for key, message, sig, good in ((public, b"\x72", signature, True), (public, b"\x73", signature, False),
                                    (public, b"\x72", larger, False), (one, b"", one + bytes(32), False),
                                    (one_again, b"", one + bytes(32), False), (public, b"\x72", one + signature[32:], False)):
        same(P.ed25519_verify(key, message, sig), good, "Ed25519 of %s" % sig.hex())
    same(P.point_decode(one_again), None, "a non-canonical point")
    # BIP 173
    same(P.bech32_decode("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef", 20).hex(),
         "00443214c74254b635cf84653a56d7c675be77df", "Bech32")
    refused("format", P.bech32_decode, "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxq", "abcdef", 20)
    refused("format", P.bech32_decode, "A1G7SGD8", "A", 0)
    refused("format", P.bech32_decode, "abcdef1Qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef", 20)
    # C2SP signed-note
    key = F.parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = F.parse_note("This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAl"
                        "TgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n")
    F.check_signed(note, key, "example")
    refused("signature", F.check_signed, note._replace(text="This is another message.\n"), key, "example")


def texts():
    same([F.padme(n) for n in (128, 129, 500, 512, 513, 1000, 65537)], [128, 144, 512, 512, 544, 1024, 67584], "Padmé")
    payload = b'{"a":{"b":[1.50,-0,{}],"~/":[]},"e":"\\u00e9\\n","t":true,"f":false,"z":null,"m":{"$sealed":"p"}}'
    event = events.Event(["main", "p"])
    same(event.add(0, payload), [
        ("/a/b/0", "n", b"1.50"), ("/a/b/1", "n", b"-0"), ("/a/b/2", "o", b""), ("/a/~0~1", "a", b""), ("/e", "s", "\u00e9\n".encode()),
        ("/t", "t", b""), ("/f", "f", b""), ("/z", "z", b"")], "fields of section 0")
    same(event.add(1, b'{"/m":{"x":[7]}}'), [("/m/x/0", "n", b"7")], "fields of another section")
    same(events.Event(["main"]).add(0, b"{}"), [("", "o", b"")], "fields of the empty event")
    same(events.Event(["main", "p"]).add(1, b"{}"), [], "fields of a section without values")
    same(event.merged(), payload.replace(b'{"$sealed":"p"}', b'{"x":[7]}'), "merged")
    for bad in (b" {}", b"{}\n", b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b'{"a":01}', b'{"a":NaN}', b'{"a":1,}', b'{"a":"\x01"}', b"[]",
                b'{"a":"\xff"}', b'{"\\u0061":1,"a":2}', b'{"a":"\\x"}', b'{"a":1.}', b"", b'{"a":' * 100000):
        refused("payload", events.parse, bad)
    key, admin, other, witness = S.Signer("ledger.example"), S.Signer("admin.example"), S.Signer("other.example"), S.Signer("w.example", 4)
    hash32, age = S.b64(bytes(32)), S.bech32_encode("age", P.x25519_public(S.fresh()))
    head = "sealtrail.org/%s/v1\nledger ledger.example\nsequence 0\nprevious " + hash32 + "\nissued 2025-01-02T03:04:05.006Z\n"
    more = {"heartbeat": "", "grant": "first-record 3\nlast-record 4\nfrom %s\nto new.example %s\nslots-hash %s\n" % (age, age, hash32),
            "roster": "ledger-key %s\nadmin %s\nadmin %s\nreader r.example %s required\nofficers-required 0\nwitness %s\n" % (
                key.vkey, admin.vkey, other.vkey, age, witness.vkey),
            "erasure": "records 3..3\nrecords 5..9\nreason gdpr-17\nlegal-basis Art. 17 (1) b\n",
            "hold": "hold matter-1\naction place\nrecords 3..3\nrecords 5..9\nreason litigation\n"}
    for kind, lines in more.items():
        text = head % kind + lines
        statement = F.parse_statement(admin.note(text))
        same(statement.kind, kind, "statement")
        F.check_signed(statement.note, F.parse_vkey(admin.vkey), kind)
        for wrong in (text + "extra 1\n", text.replace("sequence 0", "sequence 00"), text.replace("issued 2025-01", "issued 2025-13"),
                      text.replace(hash32, hash32[:-2] + "B="), text.replace("ledger ", "ledger  "), text.replace("previous", "Previous")):
            refused("format", F.parse_statement, admin.note(wrong))
    swapped = (head % "roster" + more["roster"]).replace(admin.vkey, "X").replace(other.vkey, admin.vkey).replace("X", other.vkey)
    refused("format", F.parse_statement, admin.note(swapped))
    refused("format", F.parse_statement, admin.note(head % "erasure" + more["erasure"].replace("5..9", "3..9")))
    F.parse_statement(admin.note(head % "hold" + "hold matter-1\naction release\nreason settled\n"))
    refused("format", F.parse_statement, admin.note(head % "hold" + "hold matter-1\naction place\nreason settled\n"))
    refused("format", F.parse_statement, admin.note(head % "hold" + more["hold"].replace("place", "release")))
    refused("format", F.parse_statement, admin.note(head % "heartbeat") + "\u2014 a %s\n" % S.b64(bytes(68)))
    for name in ("a b", "a+b", "", "a\u2003b", "x" * 256, "a\x7f"):
        refused("format", F.key_name, name)
    for size in range(1, 10):
        leaves = [S.fresh() for _ in range(size)]
        for i in range(size):
            path = S.merkle_path(i, leaves)
            F.check_inclusion(leaves[i], i, size, path, F.merkle_root(leaves), "leaf")
            refused("inclusion", F.check_inclusion, leaves[i], i, size, path + [bytes(32)], F.merkle_root(leaves), "leaf")
            refused("inclusion" if i + 1 < size else "range", F.check_inclusion, leaves[i], i + 1, size, path, F.merkle_root(leaves), "leaf")


class Cases:
    """Writes case folders and runs each at once."""

    def __init__(self, directory):
        self.directory = directory

    def add(self, name, kind, why=None, note="", **inputs):
        """Inputs of type bytes become files. `why` is None for a case that must succeed."""
        folder = os.path.join(self.directory, name)
        os.makedirs(folder)
        case = {"kind": kind, "expect": "fail" if why else "ok"}
        case.update({"why": why} if why else {}, **({"note": note} if note else {}))
        for key, value in inputs.items():
            if isinstance(value, bytes):
                with open(os.path.join(folder, key), "wb") as file:
                    file.write(value)
            case[key] = key if isinstance(value, bytes) else value
        with open(os.path.join(folder, "case.json"), "w", encoding="utf-8") as file:
            json.dump(case, file, indent=1)
        good, line = run_vectors.outcome(folder)
        same(good, True, "%s: %s" % (name, line))
        return folder


LEDGER, WRITER = "ledger.example/audit", "writer.example/a"
READERS = [S.fresh() for _ in range(4)]  # of main; of main and person; of net; of everything
IDENTITIES = [S.bech32_encode("AGE-SECRET-KEY-", scalar).encode() for scalar in READERS]
SECTIONS = [("main", [0, 1, 3]), ("person", [1, 3]), ("net", [2, 3])]
MAIN = b'{"actor":{"$sealed":"person"}, "n":1.50,"ip":[{"$sealed":"net"},"x"],"deep":{"e":{},"z":null}}'
PERSON, NET = '{"/actor":{"name":" Zo\u00eb ","id":-0.0E+1}}'.encode(), b'{"/ip/0":"10.0.0.1"}'
PARTS = (b'{"$sealed":"person"}', PERSON[10:-1]), (b'{"$sealed":"net"}', b'"10.0.0.1"')
WHOLE = MAIN.replace(*PARTS[0]).replace(*PARTS[1])
POLICY = {"actor": ["/actor/name", "/actor/id"], "ip": ["/ip/*"], "absent": ["/deep/z", "/deep/e", "/nothing"]}


def at(step, change):
    """A twist of one step of the sealing."""
    return lambda now, value: change(value) if now == step else value


def flip(data, place=-1):
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def opening(cases):
    batch = S.Batch(LEDGER, WRITER, 7, READERS[:1], [("main", [0])])
    plain = [b'{"n":%d,"text":"%s"}' % (n, b"x" * 60 * n) for n in range(5)]

    def body(twist=S.honest, payload=plain[0]):
        return batch.body([batch.seal(0, [payload], twist=twist)] + [batch.seal(p, [plain[p]]) for p in range(1, 5)])

    def broken(name, why, twist, note="", payload=plain[0]):
        return cases.add(name, "open", why, note, body=body(twist, payload), position=0, identity=IDENTITIES[0])
    for p in range(5):
        cases.add("open-one-section-%d" % p, "open", body=body(), position=p, identity=IDENTITIES[0], event=plain[p])
    cases.add("open-empty-event", "open", body=body(payload=b"{}"), position=0, identity=IDENTITIES[0], event=b"{}")
    only = []  # the cases that one mandatory check alone catches
    only.append(("commitment", broken("open-bad-commitment", "commitment", at("commitment", flip), "key, ciphertext and root are right")))
    only.append(("aead", broken("open-bad-tag", "aead", at("ciphertext", flip), "decrypted without looking at the tag, all is right")))
    only.append(("padding", broken("open-long-padding", "padding", at("padded", lambda v: v + bytes(16)), "the next Padmé size, one step too long")))
    only.append(("disclosure", broken("open-bad-disclosure-root", "disclosure", at("disclosure_root", flip))))
    broken("open-no-padding", "padding", at("padded", lambda v: v.rstrip(b"\x00")), "0x80 but no zero bytes")
    broken("open-other-padding", "padding", at("padded", lambda v: v[:-1] + b"\x01"), "last byte not zero")
    broken("open-no-marker-byte", "padding", at("padded", lambda v: v.replace(b"\x80", b"\x00")), "no 0x80")
    broken("open-other-position", "aead", at("aad", lambda v: v[:-2] + b"\x01" + v[-1:]), "sealed for position 1")
    broken("open-other-section", "aead", at("aad", lambda v: flip(v)), "sealed for section 1")
    broken("open-other-batch", "aead", at("aad", lambda v: flip(v, 0)), "sealed for another record context")
    broken("open-trailing-byte", "format", at("record", lambda v: v + b"\x00"))
    broken("open-unknown-record-kind", "format", at("record", lambda v: b"\x03" + v[1:]))
    broken("open-tags-descend", "format", at("tags", lambda v: [b"b" * 8, b"a" * 8]))
    broken("open-tag-twice", "format", at("tags", lambda v: [b"a" * 8, b"a" * 8]))
    broken("open-member-twice", "payload", S.honest, payload=b'{"a":1,"a":1}')
    broken("open-white-space", "payload", S.honest, payload=b'{"a":1}\n')
    swapped = body()
    records = [batch.seal(p, [plain[p]]) for p in (1, 0)]
    cases.add("open-swapped-records", "open", "commitment", body=batch.body(records), position=0, identity=IDENTITIES[0])
    cases.add("open-not-a-reader", "open", "identity", body=swapped, position=0, identity=IDENTITIES[1])
    cases.add("open-no-such-position", "open", "range", body=swapped, position=5, identity=IDENTITIES[0])
    cases.add("open-truncated", "open", "format", body=swapped[:-1], position=0, identity=IDENTITIES[0])
    cases.add("open-body-trailing-byte", "open", "format", body=swapped + b"\x00", position=0, identity=IDENTITIES[0])
    cases.add("open-erased", "open", "erased", position=0, identity=IDENTITIES[0],
              body=batch.body([S.erased(F.parse_body(swapped).records[0])]))
    return only


def sections(cases):
    secret = S.fresh()
    batch = S.Batch(LEDGER, WRITER, 8, READERS, SECTIONS, secret, ["actor", "ip"])
    tags = [batch.tag("person", "actor", "zo\u00eb".encode()), batch.tag("person", "actor", b"-0.0e+1"),
            batch.tag("net", "ip", b"10.0.0.1"), batch.tag("main", "ip", b"x")]

    def body(twist=S.honest, payloads=(MAIN, PERSON, NET), tags=tags):
        return batch.body([batch.seal(0, [b"{}"] * 3), batch.seal(1, payloads, tags, twist)])

    def case(name, reader, why=None, kind="open", data=None, **more):
        return cases.add(name, kind, why, body=body() if data is None else data, position=1, identity=IDENTITIES[reader], **more)
    for reader, event in enumerate((MAIN, MAIN.replace(*PARTS[0]), NET, WHOLE)):
        case("sections-reader-%d" % reader, reader, event=event)
    only = [("disclosure", case("sections-bad-root", 0, "disclosure", data=body(at("section root", lambda v: (v[0], flip(v[1])))),
                                note="disclosure_root is that of the wrong section roots")),
            ("disclosure", case("sections-bad-disclosure-root", 2, "disclosure", data=body(at("disclosure_root", flip))))]
    case("sections-bad-count", 3, "disclosure", data=body(at("section root", lambda v: (v[0] + 1, v[1]))))
    case("sections-value-without-marker", 1, "marker", data=body(payloads=(MAIN, PERSON[:-1] + b',"/more":1}', NET)))
    case("sections-marker-without-value", 1, "marker", data=body(payloads=(MAIN, b"{}", NET)))
    case("sections-marker-without-value-unseen", 0, data=body(payloads=(MAIN, b"{}", NET)), event=MAIN)
    case("sections-not-a-pointer", 1, "payload", data=body(payloads=(MAIN, PERSON.replace(b"/actor", b"actor"), NET)))
    policy = json.dumps(POLICY).encode()
    for reader, why in ((0, None), (1, None), (2, "identity"), (3, None)):
        case("tags-reader-%d" % reader, reader, why, "tags", policy=policy)
    case("tags-missing", 3, "tags", "tags", data=body(tags=tags[1:]), policy=policy)
    case("tags-altered", 0, "tags", "tags", data=body(tags=tags[:3] + [flip(tags[3])]), policy=policy)
    for n, (value, expected) in enumerate((('" \\tZo\u00cb Q\\n"', "zo\u00cb q"), ("1.50E3", "1.50e3"), ("true", "true"), ("null", None),
                                           ('" "', None), ("[1]", None), ("{}", None), ('"\\u000b"', "\x0b"))):
        cases.add("tag-value-%d" % n, "tags", search_secret=secret.hex(), section="net", field="ip", value=value,
                  tag=None if expected is None else batch.tag("net", "ip", expected.encode()).hex())
    header = batch.header
    for name, changed in (("trailing", header + b"\x00"), ("version", b"\x02" + header[1:])):
        batch.header = changed
        case("header-" + name, 0, "format", data=body())
    batch.header = header
    return only


# How to leave out each mandatory check, to show that nothing else refuses what it refuses.
WITHOUT = {"commitment": (F, "check_commitment", lambda key, commitment: None),
           "aead": (P, "aead_open", lambda key, nonce, sealed, aad: P.chacha20(key, 1, nonce, sealed[:-16])),
           "padding": (F, "remove_padding", lambda padded: padded[:padded.rindex(b"\x80")]),
           "disclosure": (F, "check_disclosure", lambda opened, section, record, sections: None)}


def without_checks(only):
    for check, folder in only:
        module, name, instead = WITHOUT[check]
        kept = getattr(module, name)
        setattr(module, name, instead)
        try:
            run_vectors.run_case(folder)
            DONE[0] += 1
        except P.Refused as error:
            sys.exit("FAIL %s is refused (%s) even without the check of %s" % (folder, error.family, check))
        finally:
            setattr(module, name, kept)


def proofs(cases):
    ledger, writer, stranger = S.Signer(LEDGER), S.Signer(WRITER), S.Signer(LEDGER)
    batch = S.Batch(LEDGER, WRITER, 9, READERS, SECTIONS)
    body = batch.body([batch.seal(p, [b'{"n":%d}' % p, b"{}", b"{}"], [bytes([p]) * 8, b"t" * 8]) for p in range(70)])
    statement = writer.note(S.statement_text(batch, body))
    block = S.block_text(5, 1000, statement)

    def proof(name, why=None, note="", vkey=ledger.vkey, data=None, block=block, position=66, height=5, signer=ledger, first=1000, size=11,
              change=lambda proof: proof, **more):
        made = change(S.proof_file(signer, body, position, block, height, first, size)) if data is None else data
        cases.add("proof-" + name, "proof", why, note, proof=made, vkey=vkey.encode(), **more)
        return made
    good = proof("good", writer_vkey=writer.vkey.encode(), body=body)
    proof("good-last", position=69)
    changed = json.loads(good)

    def with_member(**members):
        return json.dumps({**changed, **members}).encode()
    proof("other-key", "signature", "another key of the same name", vkey=stranger.vkey)
    proof("other-ledger", "origin", vkey=S.Signer("other.example").vkey)
    proof("ledger-member", "origin", data=with_member(ledger="other.example"))
    proof("statement-of-other-ledger", "origin", block=S.block_text(5, 1000, writer.note(S.statement_text(batch, body, ledger="other.example"))))
    proof("writer-signature", "signature", block=block[:-10] + ("A" if block[-10] != "A" else "B") + block[-9:], writer_vkey=writer.vkey.encode())
    proof("height", "range", block=S.block_text(6, 1000, statement))
    proof("before-block", "range", first=990, position=0)
    proof("after-block", "range", first=1010, position=66)
    heartbeat = "sealtrail.org/heartbeat/v1\nledger %s\nsequence 9\nprevious %s\nissued 2025-01-02T03:04:05.006Z\n" % (LEDGER, S.b64(S.fresh()))
    proof("heartbeat", "statement", block=S.block_text(5, 1000, writer.note(heartbeat)))
    proof("block-changed", "inclusion", data=with_member(block=block.replace("first-record 1000", "first-record 1001")))
    proof("other-record", "inclusion", data=with_member(record=1065, id="EVT-00001065"))
    proof("leaf-changed", "inclusion", data=with_member(envelope_hash="00" * 32))
    proof("path-short", "inclusion", data=with_member(record_path=changed["record_path"][:-1]))
    proof("path-long", "inclusion", data=with_member(record_path=changed["record_path"] + [changed["record_path"][0]]))
    proof("log-path-changed", "inclusion", data=with_member(log_proof=changed["log_proof"].replace(
        changed["log_proof"].split("\n")[2], S.b64(bytes(32)), 1)))
    proof("other-bytes", "record", body=batch.body([batch.seal(p, [b"{}"] * 3) for p in range(70)]))
    extended = ledger.note("".join(line + "\n" for line in changed["log_proof"].partition("\n\n")[2].split("\n")[:3]) + "more\n")
    for name, members in (("id", {"id": "EVT-1066"}), ("extra-member", {"more": 1}), ("upper-case", {"envelope_hash": changed["envelope_hash"].upper()}),
                          ("float-index", {"record": 1066.0}), ("record-text", {"record": "1066"}), ("block-long", {"block": block + "x" * 65535}),
                          ("extra-line", {"log_proof": changed["log_proof"].replace("index", "extra AA==\nindex", 1)}),
                          ("extension", {"log_proof": changed["log_proof"].partition("\n\n")[0] + "\n\n" + extended})):
        proof("format-" + name, "format", data=with_member(**members))
    proof("format-member-twice", "format", data=good.replace(b'{', b'{"record":1066,', 1))

    def check(name, why=None, note="", data=body, made=None, signer=writer, **changed_lines):
        text = S.statement_text(batch, body, **changed_lines)
        cases.add("block-" + name, "block", why, note, block=(made or S.block_text(5, 1000, signer.note(text))).encode(), body=data)
    check("good")
    records = [body_record(body, p) for p in range(70)]
    erased = batch.body(records[:3] + [S.erased(F.parse_body(body).records[3])] + records[4:])
    check("one-erased", data=erased, note="bytes and tags-root can no longer be recomputed")
    check("bytes", "bytes", bytes=len(body) + 1)
    check("records", "records", records=71)
    for line in ("records-root", "tags-root", "header-hash"):
        check(line, line, **{line.replace("-", "_"): S.b64(bytes(32))})
    check("swapped-records", "records-root", data=batch.body([records[1], records[0]] + records[2:]))
    check("sequence", "header", sequence=10)
    check("writer", "header", signer=S.Signer("writer.example/b"))
    check("heartbeat", "statement", made=S.block_text(5, 1000, writer.note(heartbeat)))


def body_record(body, position):
    """The bytes of one record of a body."""
    cursor = F.Cursor(body)
    cursor.take(4), cursor.take(cursor.uint(4))
    lengths = [cursor.uint(4) for _ in range(cursor.uint(4))]
    return [cursor.take(length) for length in lengths][position]


def main(directory):
    primitives()
    texts()
    cases = Cases(directory)
    without_checks(opening(cases))
    without_checks(sections(cases))
    proofs(cases)
    print("%d checks passed" % DONE[0])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(scratch)
