//! Why an event, a request body or an opened payload was refused. The content is secret: an error tells
//! the place and the rule and never quotes what stands there.

use crate::base::limits::*;

/// A rule of the event format that was broken. The message says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// No bytes, or only white space.
    #[error("there is no event here; send one JSON object")]
    Empty,
    /// Bytes that are not UTF-8.
    #[error("the bytes are not UTF-8; send the text in UTF-8")]
    NotUtf8,
    /// The text starts with U+FEFF.
    #[error("the text starts with a byte order mark; remove it")]
    ByteOrderMark,
    /// The value is not an object.
    #[error("an event must be a JSON object, starting with {{")]
    NotAnObject,
    /// The text ends inside a value.
    #[error("the text ends in the middle of a value; it may have been cut off")]
    Truncated,
    /// Another character was needed here; the text says which.
    #[error("not valid JSON (RFC 8259): expected {0}")]
    Expected(&'static str),
    /// Text after the end of the event.
    #[error("something follows the end of the event; send several events as an array or one per line")]
    TrailingText,
    /// A raw character below U+0020 in a string.
    #[error("a string holds a raw control character; escape it, such as \\n")]
    ControlCharacter,
    /// A backslash that starts no escape of JSON.
    #[error("a string holds an escape that JSON does not have")]
    BadEscape,
    /// An escaped surrogate without its other half.
    #[error("a string holds half of a surrogate pair; escape both halves or write the character itself")]
    LoneSurrogate,
    /// A number not of the form RFC 8259 §6 gives.
    #[error("a number is not written as JSON wants it: no leading zero or plus, digits around the point")]
    BadNumber,
    /// One name twice in one object.
    #[error("an object has the same member name twice; rename or remove one")]
    DuplicateName,
    /// Nested deeper than [`MAX_EVENT_DEPTH`].
    #[error("nested deeper than {MAX_EVENT_DEPTH} levels; flatten the event")]
    TooDeep,
    /// More leaf values than [`MAX_EVENT_FIELDS`].
    #[error("more than {MAX_EVENT_FIELDS} values; split the event into several")]
    TooManyFields,
    /// A JSON Pointer longer than [`MAX_POINTER_BYTES`].
    #[error("the path to a value is longer than {MAX_POINTER_BYTES} bytes; shorten the member names")]
    PointerTooLong,
    /// JSON Pointers of more than [`MAX_EVENT_POINTERS_BYTES`] together.
    #[error(
        "the paths to all values are longer than {MAX_EVENT_POINTERS_BYTES} bytes together; shorten the member names around lists"
    )]
    PointersTooLong,
    /// Longer than [`MAX_EVENT_BYTES`].
    #[error("the event is larger than {MAX_EVENT_BYTES} bytes; keep large data elsewhere and send its hash")]
    TooLarge,
    /// More different searchable values than [`MAX_TAGS`].
    #[error("more than {MAX_TAGS} searchable values; split the event or turn a tag off in the settings")]
    TooManyTags,
    /// The sections of the event need more room than a record has.
    #[error("the sections made from the event are too large; name fewer or shorter pointers, or split it")]
    SectionsTooLarge,
    /// A request body larger than [`MAX_EVENTS_REQUEST_BYTES`].
    #[error("the body is larger than {MAX_EVENTS_REQUEST_BYTES} bytes; send the events in several requests")]
    BodyTooLarge,
    /// More events in a request than [`MAX_EVENTS_PER_REQUEST`].
    #[error("more than {MAX_EVENTS_PER_REQUEST} events; send them in several requests")]
    TooManyEvents,
    /// White space around an opened payload, or between the members of a section's.
    #[error("a payload with white space or a spelling that no writer of this format leaves")]
    PaddedPayload,
    /// A member of a section's payload is not named by the JSON Pointer of a moved value.
    #[error("a section's payload has a member whose name is not a JSON Pointer of its own")]
    NotAPointer,
    /// The first section is needed to put an event together.
    #[error("the payload of the first section is missing; it holds the frame of the event")]
    NoFrame,
    /// Markers and moved values do not match each other.
    #[error("the sections do not fit together; they may come from different records")]
    Mismatch,
}

/// A refused event: where and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventError {
    /// The rule that was broken.
    pub rule: Rule,
    /// Offset in bytes from the start of the event (of the body, where there is no [`Place`]).
    pub offset: usize,
    /// Which event of a request, when there may be several.
    pub place: Option<Place>,
}

/// One event's place in a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the event, from 0.
    pub event: usize,
    /// Line of the body at which the event starts, from 1.
    pub line: usize,
}

impl EventError {
    pub(super) fn new(rule: Rule, offset: usize) -> Self {
        EventError { rule, offset, place: None }
    }

    /// The same error, naming the event of a request it is about.
    pub fn at(self, place: Place) -> Self {
        EventError { place: Some(place), ..self }
    }

    /// Whether the sender exceeded a limit, as opposed to sending something malformed.
    pub fn is_too_large(&self) -> bool {
        match self.rule {
            Rule::TooDeep
            | Rule::TooManyFields
            | Rule::PointerTooLong
            | Rule::PointersTooLong
            | Rule::TooLarge
            | Rule::TooManyTags
            | Rule::SectionsTooLarge
            | Rule::BodyTooLarge
            | Rule::TooManyEvents => true,
            Rule::Empty
            | Rule::NotUtf8
            | Rule::ByteOrderMark
            | Rule::NotAnObject
            | Rule::Truncated
            | Rule::Expected(_)
            | Rule::TrailingText
            | Rule::ControlCharacter
            | Rule::BadEscape
            | Rule::LoneSurrogate
            | Rule::BadNumber
            | Rule::DuplicateName
            | Rule::PaddedPayload
            | Rule::NotAPointer
            | Rule::NoFrame
            | Rule::Mismatch => false,
        }
    }
}

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Some(Place { event, line }) => {
                write!(f, "event {event} (line {line} of the body), byte {}: {}", self.offset, self.rule)
            }
            None => write!(f, "byte {}: {}", self.offset, self.rule),
        }
    }
}

impl std::error::Error for EventError {}
