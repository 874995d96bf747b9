"""Runs a command at a terminal of its own, types lines when it asks, and prints what stood on the screen.

python3 type_at.py ANSWERS COMMAND ARGUMENT…   (ANSWERS: a JSON list of lines, each typed after the next text that ends in ": ")
Ends with the command's exit code, or 99 if the command waited for more than it was told.
"""
import json
import os
import pty
import select
import sys
import time

answers = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
screen, asked, end = b"", 0, time.monotonic() + 60
while time.monotonic() < end:
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        got = os.read(terminal, 4096)
    except OSError:
        got = b""
    if not got:
        break
    screen += got
    if screen.endswith(b": ") and asked < len(answers):
        time.sleep(0.05)
        os.write(terminal, answers[asked].encode() + b"\n")
        asked += 1
else:
    os.kill(child, 9)
    os.waitpid(child, 0)
    sys.stdout.buffer.write(screen)
    sys.exit(99)
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
