//! What can be asked of lists: filters, orderings, pages.

use std::ops::Range;

use ocellus_core::{ObjectType, Timestamp, VideoId};

use crate::{
    delivery::DeliveryState,
    error::{Result, StoreError},
};

/// Conditions on videos; all must hold.
#[derive(Clone, Debug, Default)]
pub struct VideoFilter {
    /// Any of these; `None` does not ask.
    pub camera_groups: Option<Vec<i64>>,
    pub case_in: Option<Vec<Option<i64>>>,
    pub id_in: Option<Vec<VideoId>>,
    /// Part of the name, letters in either case.
    pub name_contains: Option<String>,
    pub created: Vec<Condition>,
    /// Where there are any: one of them must hold the creation date.
    pub created_within: Vec<Range<Timestamp>>,
}

/// On a creation date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    After(Timestamp),
    From(Timestamp),
    Before(Timestamp),
    To(Timestamp),
}

impl Condition {
    pub(crate) fn holds(self, t: Timestamp) -> bool {
        match self {
            Self::After(c) => t > c,
            Self::From(c) => t >= c,
            Self::Before(c) => t < c,
            Self::To(c) => t <= c,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OrderKey {
    Id = b'i',
    CreatedDate = b'c',
    Name = b'n',
}

/// Ties are broken by id, in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: OrderKey,
    pub descending: bool,
}

#[derive(Clone, Debug)]
pub struct ListQuery {
    pub filter: VideoFilter,
    pub order: Order,
    pub limit: usize,
    pub cursor: Option<Cursor>,
}

#[derive(Clone, Debug)]
pub struct ObjectQuery {
    /// Any of these; empty for all.
    pub types: Vec<ObjectType>,
    pub limit: usize,
    pub cursor: Option<Cursor>,
}

#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// Any of these; empty for all.
    pub states: Vec<DeliveryState>,
    pub limit: usize,
    pub cursor: Option<Cursor>,
}

/// A part of a list and the way to the parts beside it; `None` at the ends.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
    pub prev: Option<Cursor>,
}

/// A place between two items of one list: the key of an item, and whether the page lies behind or before it. Holds the
/// key itself, so that it stays right when that item is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which list: an ordering's key and direction, or objects.
    pub(crate) list: [u8; 2],
    pub(crate) before: bool,
    pub(crate) key: Vec<u8>,
}

impl Cursor {
    /// Letters and digits only.
    pub fn to_token(&self) -> String {
        let [a, b] = self.list;
        [a, b, u8::from(self.before)].iter().chain(&self.key).map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn from_token(token: &str) -> ocellus_core::Result<Self> {
        let bytes: Option<Vec<u8>> = (token.len().is_multiple_of(2) && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
            .then(|| (0..token.len()).step_by(2).filter_map(|i| u8::from_str_radix(token.get(i..i + 2)?, 16).ok()).collect());
        match bytes.as_deref() {
            Some([a, b, before @ (0 | 1), key @ ..]) => Ok(Self { list: [*a, *b], before: *before == 1, key: key.to_vec() }),
            _ => Err(StoreError::BadCursor.into()),
        }
    }

    pub(crate) fn of_list(cursor: Option<&Self>, list: [u8; 2]) -> Result<Option<(&[u8], bool)>> {
        match cursor {
            None => Ok(None),
            Some(c) if c.list == list => Ok(Some((&c.key, c.before))),
            Some(_) => Err(StoreError::BadCursor),
        }
    }
}

/// One page of a list whose items come with their keys.
///
/// `after` and `until` walk the list forwards and backwards from a key, which itself is left out; from the list's end
/// where there is none.
pub(crate) fn page<T, A, B>(
    list: [u8; 2],
    cursor: Option<&Cursor>,
    limit: usize,
    after: impl Fn(Option<&[u8]>) -> A,
    until: impl Fn(Option<&[u8]>) -> B,
) -> Result<Page<T>>
where
    A: Iterator<Item = Result<(Vec<u8>, T)>>,
    B: Iterator<Item = Result<(Vec<u8>, T)>>,
{
    let (items, more) = match Cursor::of_list(cursor, list)? {
        Some((key, true)) => {
            let mut items = until(Some(key)).take(limit).collect::<Result<Vec<_>>>()?;
            items.reverse();
            (items, None)
        }
        from => {
            let mut items = after(from.map(|(k, _)| k)).take(limit + 1).collect::<Result<Vec<_>>>()?;
            let more = items.len() > limit;
            items.truncate(limit);
            (items, Some(more))
        }
    };
    let (first, last) = (items.first().map(|(k, _)| k.clone()), items.last().map(|(k, _)| k.clone()));
    // An empty page still knows which way the rest lies.
    let at = |key: &Option<Vec<u8>>| key.clone().or_else(|| cursor.map(|c| c.key.clone()));
    let more = match (more, at(&last)) {
        (Some(more), _) => more,
        (None, Some(key)) => after(Some(&key)).next().transpose()?.is_some(),
        (None, None) => false,
    };
    let fewer = match at(&first) {
        Some(key) => until(Some(&key)).next().transpose()?.is_some(),
        None => false,
    };
    let cursor_at = |key: Option<Vec<u8>>, before| key.map(|key| Cursor { list, before, key });
    Ok(Page {
        next: more.then(|| cursor_at(at(&last), false)).flatten(),
        prev: fewer.then(|| cursor_at(at(&first), true)).flatten(),
        items: items.into_iter().map(|(_, item)| item).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_token(list: [u8; 2], before: bool, key: Vec<u8>) {
            let cursor = Cursor { list, before, key };
            let token = cursor.to_token();
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(Cursor::from_token(&token).unwrap(), cursor);
        }

        #[test]
        fn nonsense_is_no_cursor_and_no_panic(token in "\\PC{0,20}") {
            let _ = Cursor::from_token(&token);
        }
    }
}
