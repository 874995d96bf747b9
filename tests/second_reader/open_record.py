"""python3 open_record.py BODY POSITION IDENTITY: the event's bytes, after all checks; exit 1 with the reason otherwise.

IDENTITY is an age identity (AGE-SECRET-KEY-1…) or a file with one. A value that this identity may not read stays a marker;
without section 0 the payloads of the readable sections are printed, one per line."""
import sys

from run_vectors import command, identity_scalar, key_text, read
import formats


def main(body, position, identity):
    event = formats.open_record(formats.parse_body(read(body)), formats.number(position, 32), identity_scalar(key_text(identity)))
    return formats.readable_part(event)


if __name__ == "__main__":
    sys.exit(command(main, __doc__, 3, 3))
