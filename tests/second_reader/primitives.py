"""The cryptographic primitives of docs/FORMAT.md §1, in plain Python and the standard library.

Written to be read next to the RFCs, not to be fast, and not constant-time: never use it to seal, or with keys an attacker can time.
"""
import base64
import hashlib
import hmac
import struct


class Refused(Exception):
    """Input that must not be accepted. `family` is one of the reasons listed in VECTORS.md."""

    def __init__(self, family, message):
        super().__init__(message)
        self.family = family


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def decode_base64(text, length=None, family="format"):
    """RFC 4648 §4, padded; only the one spelling that encoding would give."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Refused(family, "not base64: %r" % text[:80]) from None
    if base64.b64encode(data).decode() != text or length not in (None, len(data)):
        raise Refused(family, "not strict base64 of the right length: %r" % text[:80])
    return data


# ---- X25519, RFC 7748 §5

P25519 = 2**255 - 19


def x25519(scalar, u):
    k = int.from_bytes(scalar, "little") & ~7 & ((1 << 254) - 1) | (1 << 254)
    x1 = (int.from_bytes(u, "little") & ((1 << 255) - 1)) % P25519
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap != bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P25519, x1 * (da - cb) ** 2 % P25519
        x2, z2 = aa * bb % P25519, e * (aa + 121665 * e) % P25519
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P25519 - 2, P25519) % P25519).to_bytes(32, "little")


def x25519_public(scalar):
    return x25519(scalar, (9).to_bytes(32, "little"))


def x25519_usable(public):
    """Whether the u-coordinate has its one encoding and is not of small order: a multiple of 8 then never gives zero."""
    return int.from_bytes(public, "little") < P25519 and x25519(bytes(32), public) != bytes(32)


# ---- ChaCha20, Poly1305 and their AEAD, RFC 8439 §2

MASK32 = 0xFFFFFFFF
ROUND = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def chacha20_block(key, counter, nonce=bytes(12)):
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    x = list(start)
    for _ in range(10):
        for a, b, c, d in ROUND:
            for i, j, k, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[i] = (x[i] + x[j]) & MASK32
                v = x[k] ^ x[i]
                x[k] = (v << turn | v >> (32 - turn)) & MASK32
    return struct.pack("<16I", *((i + j) & MASK32 for i, j in zip(x, start)))


def xor(a, b):
    return bytes(i ^ j for i, j in zip(a, b))


def chacha20(key, counter, nonce, data):
    return b"".join(xor(data[i:i + 64], chacha20_block(key, counter + i // 64, nonce)) for i in range(0, len(data), 64))


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def aead_tag(key, nonce, ciphertext, aad):
    padded = b"".join(part + bytes(-len(part) % 16) for part in (aad, ciphertext))
    return poly1305(chacha20_block(key, 0, nonce)[:32], padded + struct.pack("<QQ", len(aad), len(ciphertext)))


def aead_open(key, nonce, sealed, aad):
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if len(sealed) < 16 or not hmac.compare_digest(aead_tag(key, nonce, ciphertext, aad), tag):
        raise Refused("aead", "the ciphertext does not authenticate")
    return chacha20(key, 1, nonce, ciphertext)


# ---- HKDF-SHA256, RFC 5869 §2

def hmac_sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_extract(salt, ikm):
    return hmac_sha256(salt or bytes(32), ikm)


def hkdf_expand(prk, info, length=32):
    block, out = b"", b""
    while len(out) < length:
        block = hmac_sha256(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


# ---- HPKE base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, RFC 9180

KEM_SUITE = b"KEM" + bytes.fromhex("0020")
HPKE_SUITE = b"HPKE" + bytes.fromhex("002000010003")


def labeled_extract(suite, salt, label, ikm):
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return hkdf_expand(prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


class HpkeContext:
    """The key schedule of §5.1, from the raw Diffie-Hellman result; the first message only."""

    def __init__(self, dh, enc, recipient, info):
        if dh == bytes(32):
            raise Refused("hpke", "the encapsulated key gives an all-zero shared secret")  # §7.1.4
        prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
        shared = labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + recipient, 32)
        context = (b"\x00" + labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
                   + labeled_extract(HPKE_SUITE, b"", b"info_hash", info))
        secret = labeled_extract(HPKE_SUITE, shared, b"secret", b"")
        self.key = labeled_expand(HPKE_SUITE, secret, b"key", context, 32)
        self.nonce = labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12)
        self.exporter = labeled_expand(HPKE_SUITE, secret, b"exp", context, 32)

    def export(self, context, length):
        return labeled_expand(HPKE_SUITE, self.exporter, b"sec", context, length)

    def open(self, sealed, aad=b""):
        try:
            return aead_open(self.key, self.nonce, sealed, aad)
        except Refused:
            raise Refused("hpke", "the HPKE message does not open") from None


def hpke_receive(secret, enc, info):
    return HpkeContext(x25519(secret, enc), enc, x25519_public(secret), info)


# ---- Ed25519, RFC 8032 §5.1; points are (X, Y, Z, T) with x = X/Z, y = Y/Z, T = XY/Z

L25519 = 2**252 + 27742317777372353535851937790883648493
D25519 = -121665 * pow(121666, P25519 - 2, P25519) % P25519
IDENTITY = (0, 1, 1, 0)


def point_add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D25519, 2 * p[2] * q[2]
    e, f, g, h = b - a, (d - c) % P25519, (d + c) % P25519, b + a
    return e * f % P25519, g * h % P25519, f * g % P25519, e * h % P25519


def point_mul(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point, scalar = point_add(point, point), scalar >> 1
    return result


def point_equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P25519 == 0 and (p[1] * q[2] - q[1] * p[2]) % P25519 == 0


def point_decode(data):
    """The point, or None if the encoding is not canonical or not on the curve."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P25519:
        return None
    xx = (y * y - 1) * pow(D25519 * y * y + 1, P25519 - 2, P25519) % P25519
    x = pow(xx, (P25519 + 3) // 8, P25519)
    if (x * x - xx) % P25519:
        x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
    if (x * x - xx) % P25519 or (x == 0 and sign):
        return None
    x = P25519 - x if x & 1 != sign else x
    return x, y, 1, x * y % P25519


BASE = point_decode((4 * pow(5, P25519 - 2, P25519) % P25519).to_bytes(32, "little"))


def ed25519_usable(data):
    """Whether this is the canonical encoding of a point that is not of small order."""
    point = point_decode(data)
    return point is not None and not point_equal(point_mul(8, point), IDENTITY)


def ed25519_verify(public, message, signature):
    """Strict: canonical points, neither of small order, S below the group order, the equation without cofactor."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L25519 or not ed25519_usable(public) or not ed25519_usable(signature[:32]):
        return False
    a, r = point_decode(public), point_decode(signature[:32])
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L25519
    return point_equal(point_mul(s, BASE), point_add(r, point_mul(k, a)))


# ---- Bech32, BIP 173 (the length limit of 90 does not bind: the strings here are shorter)

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32_checksum(hrp, values):
    check = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check


def bech32_decode(text, hrp, length=32):
    """The bytes of `text`, whose human-readable part must be `hrp` in exactly that case."""
    upper = hrp == hrp.upper()
    body = text[len(hrp) + 1:]
    if not text.startswith(hrp + "1") or body != (body.upper() if upper else body.lower()):
        raise Refused("format", "not a %s key" % hrp)
    values = [BECH32.find(c) for c in body.lower()]
    if -1 in values or len(values) < 6 or bech32_checksum(hrp.lower(), values) != 1:
        raise Refused("format", "a %s key with a wrong checksum or character" % hrp)
    bits = "".join(format(v, "05b") for v in values[:-6])
    data, rest = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits) // 8 * 8, 8)), bits[len(bits) // 8 * 8:]
    if len(data) != length or len(rest) > 4 or "1" in rest:
        raise Refused("format", "a %s key of the wrong length" % hrp)
    return data
