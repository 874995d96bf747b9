"""python3 check_block.py BLOCK BODY: recompute what the block's statement says of the body; exit 1 with the reason if it differs."""
import sys

from run_vectors import command, read
import formats

if __name__ == "__main__":
    sys.exit(command(lambda block, body: formats.check_block(read(block), read(body)), __doc__, 2, 2))
