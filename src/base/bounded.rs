//! Lists in JSON files that are refused as soon as they are too long: what a file takes in memory must stay near its own size.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::hash::Hash;
use super::limits::MAX_PATH_HASHES;

/// A list of at most `N` elements. The element after them is refused without being read.
pub struct Bounded<T, const N: usize>(pub Vec<T>);

/// An inclusion path.
pub type HashPath = Bounded<HashText, MAX_PATH_HASHES>;

/// A hash as [`Hash::base64`] writes it; read at once, so that no list of texts is kept.
pub struct HashText(pub Hash);

impl HashPath {
    /// The members of a path, to write them.
    pub fn of(path: &[Hash]) -> HashPath {
        Bounded(path.iter().map(|h| HashText(*h)).collect())
    }

    /// The path that was read.
    pub fn hashes(self) -> Vec<Hash> {
        self.0.into_iter().map(|h| h.0).collect()
    }
}

/// Refuses an element before it is read.
struct Refuse<const N: usize>;

impl<'de, const N: usize> DeserializeSeed<'de> for Refuse<N> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom(format_args!("a list is too long: at most {N} elements may be in it")))
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Bounded<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
            type Value = Bounded<T, N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N} elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T, N>, A::Error> {
                let mut items = Vec::new();
                while items.len() < N {
                    match seq.next_element()? {
                        Some(item) => items.push(item),
                        None => return Ok(Bounded(items)),
                    }
                }
                seq.next_element_seed(Refuse::<N>)?;
                Ok(Bounded(items))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// For `deserialize_with`: a plain list of at most `N` elements.
pub fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(
    d: D,
) -> Result<Vec<T>, D::Error> {
    Bounded::<T, N>::deserialize(d).map(|list| list.0)
}

/// For `deserialize_with`: at most `N` lists of at most `M` elements each.
pub fn lists_at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize, const M: usize>(
    d: D,
) -> Result<Vec<Vec<T>>, D::Error> {
    let lists = Bounded::<Bounded<T, M>, N>::deserialize(d)?;
    Ok(lists.0.into_iter().map(|list| list.0).collect())
}

/// For `deserialize_with`: an object of at most `N` members.
pub fn members_at_most<
    'de,
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
    const N: usize,
>(
    d: D,
) -> Result<BTreeMap<K, V>, D::Error> {
    struct Members<K, V, const N: usize>(PhantomData<(K, V)>);
    impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, const N: usize> Visitor<'de> for Members<K, V, N> {
        type Value = BTreeMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object of at most {N} members")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<K, V>, A::Error> {
            let mut members = BTreeMap::new();
            while let Some(name) = map.next_key()? {
                if members.len() == N {
                    return Err(A::Error::custom(format_args!("an object has more than {N} members")));
                }
                members.insert(name, map.next_value()?);
            }
            Ok(members)
        }
    }
    d.deserialize_map(Members::<K, V, N>(PhantomData))
}

impl<T: Serialize, const N: usize> Serialize for Bounded<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HashText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = HashText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hash of 32 bytes in base64")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<HashText, E> {
                // The text may be long and personal: it is not repeated.
                let hash = Hash::from_base64(text);
                hash.map(HashText)
                    .ok_or_else(|| E::custom("a path holds a text that is not a hash in base64"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Serialize for HashText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.base64())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;

    thread_local!(static READ: Cell<usize> = const { Cell::new(0) });

    struct Counted;

    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            READ.set(READ.get() + 1);
            u8::deserialize(d).map(|_| Counted)
        }
    }

    #[test]
    fn nothing_after_the_last_allowed_element_is_read() {
        let read = |json: &str| {
            READ.set(0);
            (serde_json::from_str::<Bounded<Counted, 3>>(json).map(|b| b.0.len()), READ.get())
        };
        for (json, length) in [("[]", 0), ("[1]", 1), ("[1,2,3]", 3)] {
            let (got, count) = read(json);
            assert_eq!((got.unwrap(), count), (length, length), "{json}");
        }
        for json in ["[1,2,3,4]", "[1,2,3,4,5,6,7,8,9]", "[1,2,3,", "[1,2,3,{\"no\""] {
            let (got, count) = read(json);
            assert!(got.is_err() && count == 3, "{json}: {count} were read");
        }
        assert!(read("[1,2,3,4]").0.unwrap_err().to_string().contains("at most 3 elements"));
        assert!(read("{}").0.is_err());
    }

    #[test]
    fn a_path_is_hashes_and_nothing_else() {
        let text = |n: usize| serde_json::to_string(&vec![Hash::ZERO.base64(); n]).unwrap();
        let full: HashPath = serde_json::from_str(&text(MAX_PATH_HASHES)).unwrap();
        assert_eq!(serde_json::to_string(&full).unwrap(), text(MAX_PATH_HASHES));
        assert_eq!(full.hashes(), vec![Hash::ZERO; MAX_PATH_HASHES]);
        assert!(serde_json::from_str::<HashPath>(&text(MAX_PATH_HASHES + 1)).is_err());
        assert!(serde_json::from_str::<HashPath>("[\"\"]").is_err());
        assert!(serde_json::from_str::<HashPath>("[1]").is_err());
    }
}
