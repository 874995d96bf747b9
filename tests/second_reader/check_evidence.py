"""python3 check_evidence.py EVIDENCE VKEY [SIGNER_VKEY]: what the evidence file proves; exit 1 with the reason if nothing.

A VKEY is a verifier key or a file with one."""
import sys

from run_vectors import command, key_text, read
import evidence


def main(file, vkey, signer_vkey=None):
    found = evidence.check_evidence(read(file), key_text(vkey), (), key_text(signer_vkey) if signer_vkey else None)
    return {record: "block %d, writer %s, shown: %s" % (block, writer, shown) for record, block, writer, shown in found}


if __name__ == "__main__":
    sys.exit(command(main, __doc__, 2, 3))
