"""The keys a ledger has had, docs/FORMAT.md §7, "Ledger key": from its blocks, or from rosters that each key signed for the next."""
from formats import check_signed, need, parse_block, parse_statement
from primitives import Refused


def is_by(signature, key):
    return signature[:2] == (key.name, key.id)


def verified(note, key):
    try:
        check_signed(note, key, "statement")
    except Refused:
        return False
    return True


class Ledger:
    """What the blocks so far say of keys."""

    def __init__(self):
        self.roster, self.keys, self.height = None, [], 0

    def take(self, block_text):
        statement = parse_block(block_text.encode()).statement
        if statement.kind == "roster":
            handed_over = self.check(statement)
            key = statement.values["ledger-key"]
            if not self.keys or self.keys[-1][1] != key:
                self.keys.append((self.height, key, handed_over))
            self.roster = statement.values
        self.height += 1

    def check(self, statement):
        """Whether a roster may come next; gives whether the ledger's key before it signed it too."""
        before = self.roster or statement.values
        admins = before["admin"]
        key, old = statement.values["ledger-key"], before["ledger-key"]
        changes = self.roster is not None and key != old
        lines = statement.note.signatures
        handed = [line for line in lines if is_by(line, old) and old not in admins]
        need(changes or not handed, "signer", "the ledger's key signs a roster that does not change it")
        need(len(handed) <= 1, "signer", "the ledger's key signs twice")
        need(not handed or verified(statement.note, old), "signature", "the ledger's key signed something else")
        others = [line for line in lines if line not in handed]
        need(others and len({line[0] for line in others}) == len(others), "signer", "no admin signs, or one twice")
        for line in others:
            signer = [admin for admin in admins if is_by(line, admin)]
            need(signer and verified(statement.note, signer[0]), "signer", "a line that is no admin's")
        need(not changes or all(key.public != used.public for _, used, _ in self.keys), "ledger-key", "a key that was given up")
        need(not changes or len(self.keys) < 256, "ledger-key", "too many keys")
        return changes and any(is_by(line, old) for line in lines)

    def at(self, size):
        """The key that signs the checkpoint of so many blocks."""
        return [key for since, key, _ in self.keys if since < size][-1]


def follow(given, notes):
    """The key that signed rosters lead to from `given`."""
    for text in notes:
        statement = parse_statement(text)
        if statement.kind == "roster" and statement.values["ledger"] == given.name and verified(statement.note, given):
            given = statement.values["ledger-key"]
    return given
