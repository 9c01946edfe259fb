//! List queries: filters, orderings, pages.

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

/// A place between two items of one list: the key of an item, and whether the page lies behind or
/// before it. Holds the key itself, so that it stays right when that item is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which list: an ordering's key and direction, or objects.
    pub(crate) list: [u8; 2],
    pub(crate) before: bool,
    /// Empty for the list's end, in either direction; no item has such a key.
    pub(crate) key: Vec<u8>,
}

impl Cursor {
    /// Letters and digits only.
    pub fn to_token(&self) -> String {
        let [a, b] = self.list;
        [a, b, u8::from(self.before)].iter().chain(&self.key).map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn from_token(token: &str) -> ocellus_core::Result<Self> {
        let bytes: Option<Vec<u8>> = (token.len().is_multiple_of(2)
            && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .then(|| {
            (0..token.len()).step_by(2).filter_map(|i| u8::from_str_radix(token.get(i..i + 2)?, 16).ok()).collect()
        });
        match bytes.as_deref() {
            Some([a, b, before @ (0 | 1), key @ ..]) => {
                Ok(Self { list: [*a, *b], before: *before == 1, key: key.to_vec() })
            }
            _ => Err(StoreError::BadCursor.into()),
        }
    }

    /// The key, if there is one, and the direction.
    fn of_list(cursor: Option<&Self>, list: [u8; 2]) -> Result<(Option<&[u8]>, bool)> {
        match cursor {
            None => Ok((None, false)),
            Some(c) if c.list == list => Ok((Some(&*c.key).filter(|k| !k.is_empty()), c.before)),
            Some(_) => Err(StoreError::BadCursor),
        }
    }
}

/// One page of a list whose items come with their keys.
///
/// `after` and `until` walk the list forwards and backwards from a key, which itself is left out;
/// from the list's end where there is none.
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
    let (from, before) = Cursor::of_list(cursor, list)?;
    let mut items = if before {
        until(from).take(limit + 1).collect::<Result<Vec<_>>>()?
    } else {
        after(from).take(limit + 1).collect::<Result<Vec<_>>>()?
    };
    let beyond = items.len() > limit;
    items.truncate(limit);
    if before {
        items.reverse();
    }
    let edge = |item: Option<&(Vec<u8>, T)>| item.map(|(key, _)| key.clone());
    let (first, last) = (edge(items.first()), edge(items.last()));
    // An empty page lies behind all that there is, or before all of it.
    let others = || Ok::<_, StoreError>(after(None).next().transpose()?.is_some());
    let next = match &last {
        Some(key) if before => after(Some(key)).next().transpose()?.is_some(),
        Some(_) => beyond,
        None => before && others()?,
    };
    let prev = match &first {
        Some(_) if before => beyond,
        Some(key) => until(Some(key)).next().transpose()?.is_some(),
        None => !before && cursor.is_some() && others()?,
    };
    let at = |key: Option<Vec<u8>>, before| Cursor { list, before, key: key.unwrap_or_default() };
    Ok(Page {
        next: next.then(|| at(last, false)),
        prev: prev.then(|| at(first, true)),
        items: items.into_iter().map(|(_, item)| item).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Walk = std::vec::IntoIter<Result<(Vec<u8>, u8)>>;

    fn of(list: &[u8], cursor: Option<&Cursor>, limit: usize) -> Page<u8> {
        let item = |n: &u8| Ok((vec![*n], *n));
        let after = |from: Option<&[u8]>| -> Walk {
            list.iter().filter(|n| from.is_none_or(|f| [**n].as_slice() > f)).map(item).collect::<Vec<_>>().into_iter()
        };
        let until = |to: Option<&[u8]>| -> Walk {
            list.iter()
                .rev()
                .filter(|n| to.is_none_or(|t| [**n].as_slice() < t))
                .map(item)
                .collect::<Vec<_>>()
                .into_iter()
        };
        page(*b"xx", cursor, limit, after, until).unwrap()
    }

    #[test]
    fn from_a_page_that_others_emptied_the_way_back_misses_nothing() {
        let first = of(&[1, 2, 3], None, 2);
        let empty = of(&[1, 2], first.next.as_ref(), 2);
        assert!(empty.items.is_empty() && empty.next.is_none());
        let back = of(&[1, 2], empty.prev.as_ref(), 2);
        assert_eq!((back.items, back.next, back.prev), (vec![1, 2], None, None));
        assert_eq!(of(&[], first.next.as_ref(), 2).prev, None);
    }

    proptest! {
        #[test]
        fn pages_there_and_back_hold_every_item_once(count in 0_u8..20, limit in 1_usize..6) {
            let list: Vec<u8> = (0..count).collect();
            let (mut there, mut cursor, mut last) = (Vec::new(), None, None);
            loop {
                let page = of(&list, cursor.as_ref(), limit);
                there.extend(page.items.clone());
                cursor = page.next.clone();
                last = Some(page).or(last);
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&there, &list);
            let mut page = last.unwrap();
            let mut back = page.items.clone();
            while let Some(prev) = page.prev {
                page = of(&list, Some(&prev), limit);
                back.splice(0..0, page.items.clone());
            }
            prop_assert_eq!(back, list);
        }

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
