//! Queries of lists: filters, orderings, pages.

use std::ops::Range;

use ocellus_core::{ObjectType, Timestamp, VideoId, VideoStatus};

use crate::{
    delivery::DeliveryState,
    error::{Result, StoreError},
};

/// Conditions on videos, all of which must hold.
#[derive(Clone, Debug, Default)]
pub struct VideoFilter {
    /// The camera group is one of these; `None` for any.
    pub camera_groups: Option<Vec<i64>>,
    /// The case is one of these, or absent where `None` is among them; `None` for any.
    pub case_in: Option<Vec<Option<i64>>>,
    /// The id is one of these; `None` for any.
    pub id_in: Option<Vec<VideoId>>,
    /// The status is one of these; `None` for any.
    pub status_in: Option<Vec<VideoStatus>>,
    /// Part of the name, regardless of case; `None` for any. Videos without a name do not match.
    pub name_contains: Option<String>,
    /// Whether it has a `router_url`; `None` for any.
    pub has_router: Option<bool>,
    /// All of these hold of the creation date.
    pub created: Vec<Condition>,
    /// The creation date lies in one of these; empty for any.
    pub created_within: Vec<Range<Timestamp>>,
}

/// Condition on a creation date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Later.
    After(Timestamp),
    /// Later or equal.
    From(Timestamp),
    /// Earlier.
    Before(Timestamp),
    /// Earlier or equal.
    To(Timestamp),
}

impl Condition {
    /// Whether a date fulfils it.
    pub fn holds(self, t: Timestamp) -> bool {
        match self {
            Self::After(c) => t > c,
            Self::From(c) => t >= c,
            Self::Before(c) => t < c,
            Self::To(c) => t <= c,
        }
    }
}

/// Key by which videos are ordered. The values occur in cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OrderKey {
    /// Video id.
    Id = b'i',
    /// Creation date, to the microsecond.
    CreatedDate = b'c',
    /// Lower-cased name; videos without one come first.
    Name = b'n',
}

/// Ordering of videos. Ties are broken by id, in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The key that is compared.
    pub key: OrderKey,
    /// Whether the greatest come first.
    pub descending: bool,
}

/// Page of the list of videos.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The videos in the list.
    pub filter: VideoFilter,
    /// Their order.
    pub order: Order,
    /// The greatest number of items.
    pub limit: usize,
    /// From an earlier page; `None` for the first.
    pub cursor: Option<Cursor>,
}

/// Page of the objects, or of the identities, of a video.
#[derive(Clone, Debug)]
pub struct ObjectQuery {
    /// Any of these; empty for all.
    pub types: Vec<ObjectType>,
    /// The greatest number of items.
    pub limit: usize,
    /// From an earlier page; `None` for the first.
    pub cursor: Option<Cursor>,
}

/// Page of the deliveries of a video.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// Any of these; empty for all.
    pub states: Vec<DeliveryState>,
    /// The greatest number of items.
    pub limit: usize,
    /// From an earlier page; `None` for the first.
    pub cursor: Option<Cursor>,
}

/// Page of a list, with cursors of the pages before and after it.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In the order of the list, whichever way the page was reached.
    pub items: Vec<T>,
    /// The page after this one; `None` at the end.
    pub next: Option<Cursor>,
    /// The page before this one; `None` at the beginning.
    pub prev: Option<Cursor>,
}

/// Keyset cursor: the key of an item of one list, and whether the page lies after or before it.
/// Stays valid when that item is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Identifies the list: key and direction of an ordering, or two letters for any other list.
    pub(crate) list: [u8; 2],
    pub(crate) before: bool,
    /// Empty for the end of the list, in either direction: no item has an empty key.
    pub(crate) key: Vec<u8>,
}

impl Cursor {
    /// Encodes it as hexadecimal digits, for [`Cursor::from_token`].
    pub fn to_token(&self) -> String {
        let [a, b] = self.list;
        [a, b, u8::from(self.before)].iter().chain(&self.key).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Parses a token.
    ///
    /// # Errors
    /// `BadParam` for a string that [`Cursor::to_token`] cannot return.
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

    /// The key, if there is one, and whether the page lies before it.
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
/// `after` and `until` iterate over the list forwards and backwards from a key, exclusive; without
/// a key, from the first and the last item.
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
    // An empty page lies after all items, or before all of them.
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

/// A page of a list that is in memory as a whole; `list` identifies it in cursors.
///
/// # Errors
/// `BadCursor` for a cursor of another list.
pub fn page_among<T: Clone>(list: [u8; 2], cursor: Option<&Cursor>, limit: usize, all: Vec<T>) -> Result<Page<T>> {
    let keyed: Vec<([u8; 4], T)> = (0_u32..).map(u32::to_be_bytes).zip(all).collect();
    let place = |key: &[u8]| keyed.partition_point(|(k, _)| k.as_slice() < key);
    let entry = |(key, item): &([u8; 4], T)| Ok((key.to_vec(), item.clone()));
    let after = |from: Option<&[u8]>| {
        let is_at = |n: usize| from.is_some_and(|from| keyed.get(n).is_some_and(|(k, _)| k.as_slice() == from));
        let begin = from.map_or(0, |from| place(from) + usize::from(is_at(place(from))));
        keyed.iter().skip(begin).map(entry)
    };
    let until = |to: Option<&[u8]>| keyed.iter().take(to.map_or(keyed.len(), place)).rev().map(entry);
    page(list, cursor, limit, after, until)
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
    fn the_page_before_an_emptied_page_is_complete() {
        let first = of(&[1, 2, 3], None, 2);
        let empty = of(&[1, 2], first.next.as_ref(), 2);
        assert!(empty.items.is_empty() && empty.next.is_none());
        let back = of(&[1, 2], empty.prev.as_ref(), 2);
        assert_eq!((back.items, back.next, back.prev), (vec![1, 2], None, None));
        assert_eq!(of(&[], first.next.as_ref(), 2).prev, None);
    }

    proptest! {
        #[test]
        fn paging_forwards_and_backwards_yields_every_item_once(count in 0_u8..20, limit in 1_usize..6) {
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
        fn a_cursor_can_be_restored_from_its_token(list: [u8; 2], before: bool, key: Vec<u8>) {
            let cursor = Cursor { list, before, key };
            let token = cursor.to_token();
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(Cursor::from_token(&token).unwrap(), cursor);
        }

        #[test]
        fn an_invalid_token_does_not_panic(token in "\\PC{0,20}") {
            let _ = Cursor::from_token(&token);
        }
    }
}
