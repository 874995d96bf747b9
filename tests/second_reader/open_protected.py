"""Opens a key file that is protected by a passphrase, from C2SP age alone: python3 open_protected.py FILE PASSPHRASE-FILE

scrypt recipient stanza, header MAC, payload in one chunk (a key file is shorter than 64 KiB), armored or binary.
"""
import base64
import hashlib
import hmac
import sys

from primitives import Refused, aead_open

BEGIN, END = b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----"


def unpadded(text):
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def hkdf(key, salt, info):
    """RFC 5869 with SHA-256, 32 bytes out."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def open_protected(data, passphrase):
    if data.startswith(BEGIN):
        lines = data.split(b"\n")
        data = base64.b64decode(b"".join(lines[1:lines.index(END)]), validate=True)
    header, _, rest = data.partition(b"\n--- ")
    mac, _, payload = rest.partition(b"\n")
    version, stanza, body = header.split(b"\n")
    arrow, kind, salt, work = stanza.split(b" ")
    if (version, arrow, kind) != (b"age-encryption.org/v1", b"->", b"scrypt") or int(work) > 20:
        raise Refused("format", "not a file under a passphrase")
    salt = b"age-encryption.org/v1/scrypt" + unpadded(salt)
    wrapping = hashlib.scrypt(passphrase, salt=salt, n=1 << int(work), r=8, p=1, maxmem=(1 << 31) - 2, dklen=32)
    file_key = aead_open(wrapping, bytes(12), unpadded(body), b"")
    expected = hmac.new(hkdf(file_key, b"", b"header"), header + b"\n---", hashlib.sha256).digest()
    if not hmac.compare_digest(expected, unpadded(mac)):
        raise Refused("auth", "the header's MAC")
    key = hkdf(file_key, payload[:16], b"payload")
    return aead_open(key, bytes(11) + b"\x01", payload[16:], b"")


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as key, open(sys.argv[2], "rb") as secret:
        sys.stdout.buffer.write(open_protected(key.read(), secret.read().splitlines()[0]))
