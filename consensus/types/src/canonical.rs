//! The only wire, disk and signing format: fields in order, integers big-endian at fixed width, lists
//! prefixed by their length (u32) and bounded. One value has one encoding, so that its hash names it.
//!
//! What has it can be shown too, for people and their tools: [`serde::Serialize`] says the same with names. Nothing reads that
//! form back; bytes that name nothing but themselves are hex, numbers are numbers, however large.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// A value with exactly one encoding.
pub trait Canonical: Sized {
    /// Appends the encoding of this value.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one value from the front of `input`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what the bytes lack; nothing else of `input` may be used then.
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The encoding of this value alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        self.write(&mut out);
        out
    }

    /// Reads a value that must fill `bytes` exactly.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also when bytes are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader::new(bytes);
        let value = Self::read(&mut input)?;
        if input.is_empty() { Ok(value) } else { Err(Malformed::TrailingBytes) }
    }
}

/// Why bytes are not a canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("the bytes end too early")]
    TooShort,
    /// A whole value was read and bytes are left.
    #[error("bytes are left over after the value")]
    TrailingBytes,
    /// An enumeration's tag is not one of ours.
    #[error("unknown {of} tag {tag}")]
    UnknownTag {
        /// What kind of value was being read.
        of: &'static str,
        /// The tag met.
        tag: u8,
    },
    /// A list is longer than its bound.
    #[error("a list of {length} is longer than its bound {bound}")]
    TooLong {
        /// Entries announced.
        length: usize,
        /// Entries allowed.
        bound: usize,
    },
    /// A field holds a value outside its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

/// Bytes from outside that have not been read yet.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed::TooShort`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or(Malformed::TooShort)?;
        self.rest = rest;
        Ok(front)
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }
}

macro_rules! canonical_integer {
    ($($integer:ty),*) => {$(
        impl Canonical for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self::from_be_bytes(Canonical::read(input)?))
            }
        }
    )*};
}
canonical_integer!(u16, u32, u64, u128, i128);

impl Canonical for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(input.take(1)?[0])
    }
}

impl Canonical for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(Malformed::UnknownTag { of: "bool", tag }),
        }
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bytes = input.take(N)?;
        Ok(bytes.try_into().expect("take gives exactly N bytes"))
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(if bool::read(input)? { Some(T::read(input)?) } else { None })
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::read(input)?, B::read(input)?))
    }
}

/// A list that never holds more than `MAX` entries.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds `value` at the end.
    ///
    /// # Errors
    ///
    /// [`Malformed::TooLong`] when the list is full; the list is unchanged.
    pub fn push(&mut self, value: T) -> Result<(), Malformed> {
        if self.0.len() == MAX {
            return Err(Malformed::TooLong { length: MAX + 1, bound: MAX });
        }
        self.0.push(value);
        Ok(())
    }

    /// The entries, to be changed in place; their number stays.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    /// Gives the entries up.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for List<T, MAX> {
    type Error = Malformed;
    fn try_from(values: Vec<T>) -> Result<Self, Malformed> {
        if values.len() > MAX {
            return Err(Malformed::TooLong { length: values.len(), bound: MAX });
        }
        Ok(Self(values))
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for List<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Canonical, const MAX: usize> Canonical for List<T, MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.0.len()).expect("a bounded list is far shorter than 2^32");
        length.write(out);
        out.reserve(size_of_val(self.0.as_slice())); // an encoding is about as long as its value
        for value in &self.0 {
            value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = u32::read(input)? as usize;
        if length > MAX {
            return Err(Malformed::TooLong { length, bound: MAX });
        }
        // No allocation before the bytes are there: an entry takes at least one byte.
        let mut values = Vec::with_capacity(length.min(input.left()));
        for _ in 0..length {
            values.push(T::read(input)?);
        }
        Ok(Self(values))
    }
}

/// Bytes, never more than `MAX`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> TryFrom<Vec<u8>> for Blob<MAX> {
    type Error = Malformed;
    fn try_from(bytes: Vec<u8>) -> Result<Self, Malformed> {
        if bytes.len() > MAX {
            return Err(Malformed::TooLong { length: bytes.len(), bound: MAX });
        }
        Ok(Self(bytes))
    }
}

impl<const MAX: usize> Deref for Blob<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl<const MAX: usize> Canonical for Blob<MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.0.len()).expect("a bounded blob is far shorter than 2^32");
        length.write(out);
        out.extend_from_slice(&self.0);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = u32::read(input)? as usize;
        if length > MAX {
            return Err(Malformed::TooLong { length, bound: MAX });
        }
        Ok(Self(input.take(length)?.to_vec()))
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<const MAX: usize> Serialize for Blob<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(&self.0)))
    }
}

/// `EigenLayer` as `eigen_layer`; `N` is [`snake_length`].
pub(crate) const fn snake<const N: usize>(name: &str) -> [u8; N] {
    let (name, mut out) = (name.as_bytes(), [0; N]);
    let (mut from, mut to) = (0, 0);
    while from < name.len() {
        if from > 0 && name[from].is_ascii_uppercase() {
            out[to] = b'_';
            to += 1;
        }
        out[to] = name[from].to_ascii_lowercase();
        (from, to) = (from + 1, to + 1);
    }
    out
}

/// How long a name is with a line before every capital but the first.
pub(crate) const fn snake_length(name: &str) -> usize {
    let (name, mut at, mut length) = (name.as_bytes(), 0, 0);
    while at < name.len() {
        length += 1 + (at > 0 && name[at].is_ascii_uppercase()) as usize;
        at += 1;
    }
    length
}

/// A variant's name as it is shown.
macro_rules! shown {
    ($variant:ident) => {{
        const NAME: &str = stringify!($variant);
        const BYTES: [u8; $crate::canonical::snake_length(NAME)] = $crate::canonical::snake(NAME);
        const SHOWN: &str = match std::str::from_utf8(&BYTES) {
            Ok(shown) => shown,
            Err(_) => NAME,
        };
        SHOWN
    }};
}
pub(crate) use shown;

/// Writes [`Canonical`] for a struct, its fields in the order given here, and [`serde::Serialize`] with their names.
macro_rules! canonical {
    ($name:ident { $($field:ident),* $(,)? }) => {
        $crate::canonical::shown_struct!($name { $($field),* });
        impl $crate::canonical::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::canonical::Canonical::write(&self.$field, out);)*
            }
            fn read(input: &mut $crate::canonical::Reader<'_>) -> Result<Self, $crate::canonical::Malformed> {
                Ok(Self { $($field: $crate::canonical::Canonical::read(input)?),* })
            }
        }
    };
}
pub(crate) use canonical;

/// Writes [`serde::Serialize`] for a struct whose encoding is written by hand.
macro_rules! shown_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;
                let fields = [$(stringify!($field)),*].len();
                let mut shown = serializer.serialize_struct(stringify!($name), fields)?;
                $(shown.serialize_field(stringify!($field), &self.$field)?;)*
                shown.end()
            }
        }
    };
}
pub(crate) use shown_struct;

/// Writes [`Canonical`] for an enumeration, one byte of tag, then the variant's one value if it has one, and
/// [`serde::Serialize`] by the variant's name.
macro_rules! canonical_enum {
    ($name:ident { $($tag:literal => $variant:ident $(($inner:ident))?),* $(,)? }) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant $(($inner))? => {
                        let shown = $crate::canonical::shown!($variant);
                        $(return serializer.serialize_newtype_variant(stringify!($name), $tag, shown, $inner);)?
                        #[allow(unreachable_code)]
                        serializer.serialize_unit_variant(stringify!($name), $tag, shown)
                    })*
                }
            }
        }
        impl $crate::canonical::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($inner))? => {
                        out.push($tag);
                        $($crate::canonical::Canonical::write($inner, out);)?
                    })*
                }
            }
            fn read(input: &mut $crate::canonical::Reader<'_>) -> Result<Self, $crate::canonical::Malformed> {
                match <u8 as $crate::canonical::Canonical>::read(input)? {
                    $($tag => Ok(Self::$variant $(({
                        let $inner = $crate::canonical::Canonical::read(input)?;
                        $inner
                    }))?),)*
                    tag => Err($crate::canonical::Malformed::UnknownTag { of: stringify!($name), tag }),
                }
            }
        }
    };
}
pub(crate) use canonical_enum;

/// An enumeration of reasons without fields: one tag each on the wire, one sentence each for people.
#[macro_export]
macro_rules! canonical_refusal {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $tag:literal => $variant:ident($said:literal),)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum $name {
            $($(#[$variant_doc])* #[error($said)] $variant,)*
        }

        impl $name {
            /// Every one of them, by tag.
            pub const ALL: [Self; [$($tag),*].len()] = [$(Self::$variant),*];
        }

        impl $crate::canonical::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $tag,)* });
            }
            fn read(input: &mut $crate::canonical::Reader<'_>) -> Result<Self, $crate::canonical::Malformed> {
                match <u8 as $crate::canonical::Canonical>::read(input)? {
                    $($tag => Ok(Self::$variant),)*
                    tag => Err($crate::canonical::Malformed::UnknownTag { of: stringify!($name), tag }),
                }
            }
        }
    };
}
pub use canonical_refusal;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_over_its_bound_is_refused_before_anything_is_allocated() {
        let mut bytes = Vec::new();
        u32::MAX.write(&mut bytes);
        assert_eq!(List::<u64, 4>::from_bytes(&bytes), Err(Malformed::TooLong { length: u32::MAX as usize, bound: 4 }));
    }

    #[test]
    fn what_is_shown_has_names() {
        use crate::{Epoch, Hash, RowKey, VaultId};
        let shown = |value: &RowKey| serde_json::to_string(value).expect("a key can be shown");
        assert_eq!(shown(&RowKey::Committee(Epoch::new(3))), r#"{"committee":3}"#);
        assert_eq!(shown(&RowKey::FeeRate), r#""fee_rate""#);
        let vault = VaultId { txid: Hash::ZERO, output: 1 };
        let zeros = "0".repeat(64);
        assert_eq!(shown(&RowKey::Vault(vault)), format!(r#"{{"vault":{{"txid":"0x{zeros}","output":1}}}}"#));
        let blob = Blob::<4>::try_from(vec![1, 0xff]).expect("two bytes are not too many");
        assert_eq!(serde_json::to_string(&blob).expect("bytes can be shown"), r#""0x01ff""#);
    }

    #[test]
    fn bytes_left_over_or_missing_are_refused() {
        assert_eq!(u16::from_bytes(&[1, 2, 3]), Err(Malformed::TrailingBytes));
        assert_eq!(u16::from_bytes(&[1]), Err(Malformed::TooShort));
        assert_eq!(bool::from_bytes(&[2]), Err(Malformed::UnknownTag { of: "bool", tag: 2 }));
    }
}
