//! An event as a tree that borrows its text, for reading well-known places in it. What the reader may not see, and what
//! stands as `null`, is as good as absent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::base::limits::MAX_EVENT_FIELDS;

/// The only member of an object that stands for a withheld value. `docs/FORMAT.md` §5, Payload.
const SEALED: &str = "$sealed";
/// How a section other than the first starts: its member names are JSON Pointers.
const POINTERS: &[u8] = br#"{"/"#;

/// A JSON value.
pub(in crate::auditor) enum Node<'e> {
    /// `null`.
    Null,
    /// `{"$sealed":"NAME"}`: the value exists and this reader may not see it.
    Withheld(Cow<'e, str>),
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'e, str>),
    /// An array.
    List(Vec<Node<'e>>),
    /// An object, in the order of its text. Of an event whose frame is withheld, arrays are objects too, whose names are
    /// the indices that could be read.
    Object(Vec<(Cow<'e, str>, Node<'e>)>),
}

impl<'e> Node<'e> {
    /// Reads an event as [`crate::auditor::record::Content::event`] gives it; `None` if it is no JSON.
    pub fn parse(event: &'e [u8]) -> Option<Node<'e>> {
        let mut texts = serde_json::Deserializer::from_slice(event).into_iter::<Node<'e>>();
        let first = texts.next()?.ok()?;
        let rest: Vec<Node<'e>> = texts.collect::<Result<_, _>>().ok()?;
        if rest.is_empty() && !event.starts_with(POINTERS) {
            return Some(first);
        }
        // The first section is withheld: every other one stands on a line, as an object of pointers and values.
        let mut root = Grown::default();
        for section in std::iter::once(first).chain(rest) {
            let Node::Object(members) = section else { return None };
            for (pointer, value) in members {
                root.place(&pointer, value);
            }
        }
        Some(root.into_node())
    }

    /// A member by its exact name. Absent if `null`.
    pub fn get(&self, name: &str) -> Option<&Node<'e>> {
        let Node::Object(members) = self else { return None };
        members.iter().find(|(n, _)| n == name).map(|(_, v)| v).filter(|v| !matches!(v, Node::Null))
    }

    /// A member by its name in small letters, whatever its capitals, underscores and hyphens: `userid` finds `user_id`
    /// and `userId`.
    pub fn find(&self, name: &str) -> Option<&Node<'e>> {
        let Node::Object(members) = self else { return None };
        members.iter().find(|(n, v)| same(n, name) && !matches!(v, Node::Null)).map(|(_, v)| v)
    }

    /// The names of an object's members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let members: &[(Cow<'e, str>, Node<'e>)] = match self {
            Node::Object(members) => members,
            _ => &[],
        };
        members.iter().map(|(n, _)| &**n)
    }

    /// A member below other members, by exact names; steps into the first element of arrays.
    pub fn at(&self, path: &[&str]) -> Option<&Node<'e>> {
        path.iter().try_fold(self, |node, name| node.items().find_map(|n| n.get(name)))
    }

    /// The text at [`Node::at`].
    pub fn text_at(&self, path: &[&str]) -> Option<String> {
        self.at(path)?.text()
    }

    /// The text of a string, number or truth value; `None` for an empty string.
    pub fn text(&self) -> Option<String> {
        match self {
            Node::Text(t) => (!t.trim().is_empty()).then(|| t.to_string()),
            Node::Number(n) => Some(n.to_string()),
            Node::Bool(b) => Some(b.to_string()),
            Node::Null | Node::Withheld(_) | Node::List(_) | Node::Object(_) => None,
        }
    }

    /// The characters of a string that is not empty.
    pub fn str(&self) -> Option<&str> {
        match self {
            Node::Text(t) => Some(&**t).filter(|t| !t.trim().is_empty()),
            _ => None,
        }
    }

    /// Whether it says yes: `true`, or the word.
    pub fn is_true(&self) -> bool {
        match self {
            Node::Bool(b) => *b,
            Node::Text(t) => t.eq_ignore_ascii_case("true") || t.eq_ignore_ascii_case("yes"),
            _ => false,
        }
    }

    /// Whether this is an object with members that can be read.
    pub fn is_object(&self) -> bool {
        matches!(self, Node::Object(_))
    }

    /// The elements of an array; anything else counts as its only element.
    pub fn items(&self) -> impl Iterator<Item = &Node<'e>> {
        let (list, members, single): (&[Node<'e>], &[(Cow<'e, str>, Node<'e>)], _) = match self {
            Node::List(list) => (list, &[], None),
            Node::Object(members) if is_sparse_array(members) => (&[], members, None),
            other => (&[], &[], Some(other)),
        };
        list.iter().chain(members.iter().map(|(_, v)| v)).chain(single)
    }

    /// The elements of the array that is member `name`; none without it.
    pub fn each(&self, name: &str) -> impl Iterator<Item = &Node<'e>> {
        self.get(name).into_iter().flat_map(Node::items)
    }

    /// The same as JSON. Array elements that cannot be read stand as `null`.
    pub fn to_value(&self) -> Value {
        self.value(&mut MAX_EVENT_FIELDS.clone())
    }

    /// An event has no more leaves than `room` and so its arrays have no more elements together. Indices beyond that, which somebody
    /// made up, would each cost an array as long as they say: such an object stays one.
    fn value(&self, room: &mut usize) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Withheld(section) => serde_json::json!({ SEALED: section }),
            Node::Bool(b) => Value::Bool(*b),
            Node::Number(n) => Value::Number(n.clone()),
            Node::Text(t) => Value::String(t.to_string()),
            Node::List(list) => Value::Array(list.iter().map(|n| n.value(room)).collect()),
            Node::Object(members) => match sparse_array_len(members).filter(|len| len <= room) {
                Some(len) => {
                    *room -= len;
                    let mut list = vec![Value::Null; len];
                    for (name, value) in members {
                        if let Some(element) = name.parse().ok().and_then(|n: usize| list.get_mut(n)) {
                            *element = value.value(room);
                        }
                    }
                    Value::Array(list)
                }
                None => Value::Object(members.iter().map(|(n, v)| (n.to_string(), v.value(room))).collect()),
            },
        }
    }
}

/// Length of the array whose readable elements these members are, if that is what they are.
fn sparse_array_len(members: &[(Cow<'_, str>, Node<'_>)]) -> Option<usize> {
    let last = || members.iter().map(|(n, _)| n.parse().unwrap_or(usize::MAX)).max();
    is_sparse_array(members).then(last)?.map(|last: usize| last.saturating_add(1))
}

fn is_sparse_array(members: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    !members.is_empty() && members.iter().all(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A tree that grows by pointers. Members are found by name in constant time: a writer may have moved thousands out of one list.
#[derive(Default)]
struct Grown<'e> {
    value: Option<Node<'e>>,
    members: Vec<(String, Grown<'e>)>,
    places: HashMap<String, usize>,
}

impl<'e> Grown<'e> {
    /// Puts a value at a JSON Pointer. What comes later counts.
    fn place(&mut self, pointer: &str, value: Node<'e>) {
        let mut at = self;
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            at.value = None;
            let place = *at.places.entry(name).or_insert_with_key(|name| {
                at.members.push((name.clone(), Grown::default()));
                at.members.len() - 1
            });
            let Some((_, next)) = at.members.get_mut(place) else { return };
            at = next;
        }
        *at = Grown { value: Some(value), ..Grown::default() };
    }

    fn into_node(self) -> Node<'e> {
        let members = self.members.into_iter().map(|(name, grown)| (Cow::Owned(name), grown.into_node()));
        self.value.unwrap_or_else(|| Node::Object(members.collect()))
    }
}

/// Whether `name` without `_` and `-` is `wanted`, which is in small letters, but for ASCII capitals.
#[inline]
fn same(name: &str, wanted: &str) -> bool {
    // Nearly every pair differs in length or in the first letter.
    let (Some(first), Some(other)) = (name.as_bytes().first(), wanted.as_bytes().first()) else {
        return false;
    };
    if name.len() < wanted.len() || (first.to_ascii_lowercase() != *other && !matches!(first, b'_' | b'-')) {
        return false;
    }
    let mut letters = name.bytes().filter(|b| !matches!(b, b'_' | b'-'));
    wanted.bytes().all(|w| letters.next().is_some_and(|n| n.to_ascii_lowercase() == w))
        && letters.next().is_none()
}

impl<'e> Deserialize<'e> for Node<'e> {
    fn deserialize<D: Deserializer<'e>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;
        impl<'e> Visitor<'e> for AnyNode {
            type Value = Node<'e>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Node<'e>, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Node<'e>, E> {
                Ok(Node::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Node<'e>, E> {
                Ok(Node::Number(n.into()))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Node<'e>, E> {
                Ok(Node::Number(n.into()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Node<'e>, E> {
                Ok(Number::from_f64(n).map_or(Node::Null, Node::Number))
            }
            fn visit_borrowed_str<E>(self, s: &'e str) -> Result<Node<'e>, E> {
                Ok(Node::Text(Cow::Borrowed(s)))
            }
            fn visit_str<E>(self, s: &str) -> Result<Node<'e>, E> {
                Ok(Node::Text(Cow::Owned(s.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'e>>(self, mut seq: A) -> Result<Node<'e>, A::Error> {
                let mut list = Vec::new();
                while let Some(node) = seq.next_element()? {
                    list.push(node);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'e>>(self, mut map: A) -> Result<Node<'e>, A::Error> {
                let mut members: Vec<(Cow<'e, str>, Node<'e>)> = Vec::new();
                while let Some((Name(name), node)) = map.next_entry()? {
                    if members.is_empty() {
                        members.reserve(8);
                    }
                    members.push((name, node));
                }
                if let [(name, Node::Text(section))] = &members[..]
                    && name == SEALED
                {
                    return Ok(Node::Withheld(section.clone()));
                }
                Ok(Node::Object(members))
            }
        }
        deserializer.deserialize_any(AnyNode)
    }
}

/// A member name, borrowed where it has no escapes.
struct Name<'e>(Cow<'e, str>);

impl<'e> Deserialize<'e> for Name<'e> {
    fn deserialize<D: Deserializer<'e>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyName;
        impl<'e> Visitor<'e> for AnyName {
            type Value = Name<'e>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E>(self, s: &'e str) -> Result<Name<'e>, E> {
                Ok(Name(Cow::Borrowed(s)))
            }
            fn visit_str<E>(self, s: &str) -> Result<Name<'e>, E> {
                Ok(Name(Cow::Owned(s.to_owned())))
            }
        }
        deserializer.deserialize_str(AnyName)
    }
}
