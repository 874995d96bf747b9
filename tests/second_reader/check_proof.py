"""python3 check_proof.py PROOF VKEY [WRITER_VKEY]: what the proof file proves; exit 1 with the reason if nothing.

A VKEY is a verifier key or a file with one."""
import sys

from run_vectors import command, key_text, read
import formats


def main(proof, vkey, writer_vkey=None):
    return formats.check_proof(read(proof), key_text(vkey), key_text(writer_vkey) if writer_vkey else None)


if __name__ == "__main__":
    sys.exit(command(main, __doc__, 2, 3))
