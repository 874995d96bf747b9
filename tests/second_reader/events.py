"""The JSON side of docs/FORMAT.md §5: exact values, fields, markers, merging, and what blind tags are computed over."""
import json
import re
from typing import Any, NamedTuple

from primitives import Refused

# A JSON text is parsed by hand because a marker is replaced in the text itself, so that the place of each value is needed.
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
SPACE = re.compile(r"[ \t\n\r]*")
POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
LITERALS = {"true": "t", "false": "f", "null": "z"}


class Node(NamedTuple):
    """kind: s n t f z, or { and [ with a list of (member name or index, Node) as value; text[start:end] is its text."""
    kind: str
    start: int
    end: int
    value: Any


def bad(message):
    return Refused("payload", message)


def parse(data):
    """(text, root Node) of one JSON object with nothing around it."""
    try:
        text = data.decode("utf-8")
        root = parse_value(text, 0)
    except UnicodeError:
        raise bad("not UTF-8") from None
    except RecursionError:
        raise bad("nested too deeply for this reader") from None
    if root.kind != "{" or root.end != len(text):
        raise bad("not one JSON object without white space around it")
    return text, root


def parse_string(text, at):
    match = STRING.match(text, at)
    if not match:
        raise bad("not a JSON string at character %d" % at)
    value = json.loads(match.group())
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise bad("lone surrogate at character %d" % at)
    return value, match.end()


def parse_value(text, at):
    char = text[at:at + 1]
    if char == '"':
        value, end = parse_string(text, at)
        return Node("s", at, end, value)
    if char in ("{", "["):
        return parse_container(text, at, char)
    for word, kind in LITERALS.items():
        if text.startswith(word, at):
            return Node(kind, at, at + len(word), word)
    match = NUMBER.match(text, at)
    if not match:
        raise bad("not a JSON value at character %d" % at)
    return Node("n", at, match.end(), match.group())


def parse_container(text, start, opening):
    def skip(at):
        return SPACE.match(text, at).end()
    close, children, names = {"{": "}", "[": "]"}[opening], [], set()
    at = skip(start + 1)
    if text[at:at + 1] == close:
        return Node(opening, start, at + 1, children)
    while True:
        name = len(children)
        if opening == "{":
            name, at = parse_string(text, at)
            at = skip(at)
            if name in names or text[at:at + 1] != ":":
                raise bad("member name twice in an object, or no colon, before character %d" % at)
            names.add(name)
            at = skip(at + 1)
        child = parse_value(text, at)
        children.append((name, child))
        at = skip(child.end)
        if text[at:at + 1] == close:
            return Node(opening, start, at + 1, children)
        if text[at:at + 1] != ",":
            raise bad("neither comma nor end at character %d" % at)
        at = skip(at + 1)


def json_string(text):
    """A string as payloads spell it: escaped only where JSON demands it, in the shortest form, hexadecimal in lower case."""
    return json.dumps(text, ensure_ascii=False)


def token(name):
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


def fields(node, pointer="", is_marker=lambda node: False):
    """(pointer, kind, value bytes) of each leaf value, in document order."""
    if is_marker(node):
        return
    if node.kind in "{[" and node.value:
        for name, child in node.value:
            yield from fields(child, pointer + token(name), is_marker)
    elif node.kind in "{[":
        yield pointer, {"{": "o", "[": "a"}[node.kind], b""
    else:
        yield pointer, node.kind, node.value.encode() if node.kind in "sn" else b""


class Event:
    """The payloads this reader could open, by section number, of one record."""

    def __init__(self, names):
        self.names, self.opened = names, {}

    def add(self, s, payload):
        """Take the payload of section s; returns its fields."""
        text, root = self.opened[s] = parse(payload)
        if s == 0:
            return list(fields(root, "", lambda node: self.marker(text, node) is not None))
        pointers = {pointer for pointer, _ in root.value}
        for pointer in pointers:
            outer = (pointer[:i] for i, c in enumerate(pointer) if c == "/")
            if not POINTER.fullmatch(pointer) or any(prefix in pointers for prefix in outer):
                raise bad("%r is not the JSON Pointer of a moved value" % pointer)
        spelled = ",".join("%s:%s" % (json_string(pointer), text[node.start:node.end]) for pointer, node in root.value)
        if text != "{%s}" % spelled:
            raise bad("the payload of another section with white space or a spelling of its own")
        return [field for pointer, node in root.value for field in fields(node, pointer)]

    def marker(self, text, node):
        """The number of the section that a marker stands for, None if `node` is no marker. The whole event never is."""
        if node.kind == "{" and len(node.value) == 1 and node.start > 0:
            for s, name in enumerate(self.names[1:], 1):
                if text[node.start:node.end] == '{"$sealed":%s}' % json_string(name):
                    return s
        return None

    def walk(self):
        """(path, holding section, Node) of every value of the event, section 0 first; unreadable ones are left out.
        A path is a tuple of member names (str) and array indices (int)."""
        text0, root = self.opened[0]
        stack = [((), "", 0, root)]
        while stack:
            path, pointer, s, node = stack.pop()
            moved_to = self.marker(text0, node) if s == 0 else None
            if moved_to is not None:
                entry = dict(self.opened[moved_to][1].value).get(pointer) if moved_to in self.opened else None
                if entry is None:
                    continue
                s, node = moved_to, entry
            yield path, s, node
            if node.kind in "{[":
                stack.extend((path + (name,), pointer + token(name), s, child) for name, child in node.value)

    def markers(self, text, node, pointer=""):
        s = self.marker(text, node)
        if s is not None:
            yield s, pointer, node
        elif node.kind in "{[":
            for name, child in node.value:
                yield from self.markers(text, child, pointer + token(name))

    def merged(self):
        """The event's bytes with every value put back that this reader may read; needs section 0."""
        text, root = self.opened[0]
        markers = list(self.markers(text, root))
        for s, (_, section) in self.opened.items():
            if s and [name for name, _ in section.value] != [pointer for m, pointer, _ in markers if m == s]:
                raise Refused("marker", "the markers and the values of section %r do not pair up" % self.names[s])
        for s, pointer, place in reversed(markers):
            if s in self.opened:
                value_text, section = self.opened[s]
                value = dict(section.value)[pointer]
                text = text[:place.start] + value_text[value.start:value.end] + text[place.end:]
        return text.encode()


def normalised(node):
    """What a blind tag is computed over, None for no tag."""
    if node.kind not in "sntf":
        return None
    text = plain_reference(node.value.strip(" \t\n\x0c\r"))
    return "".join(c.lower() if c.isascii() else c for c in text).encode() or None


REFERENCE_TYPES = "Patient Practitioner PractitionerRole Organization Device RelatedPerson Person Group".split()


def plain_reference(text):
    """A FHIR reference without its base address and version; other text as it stands."""
    parts = text.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    if len(parts) < 2 or parts[-2] not in REFERENCE_TYPES or not parts[-1]:
        return text
    base = "/".join(parts[:-2])
    if len(parts) > 2 and not base.startswith(("http://", "https://")):
        return text
    return "/".join(parts[-2:])


def pointer_matches(pattern, path):
    """`*` stands for any array index and for nothing else."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pattern.split("/")[1:]]
    return len(parts) == len(path) and all(
        isinstance(name, int) if part == "*" else part == str(name) for part, name in zip(parts, path))
