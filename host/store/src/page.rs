//! Pages of a list that changes while it is read.
//!
//! A cursor is a place between keys, not a count: it holds the key of an item (ordering key and id), on which side of it
//! the page lies, and for which list it was made. So an item that is there throughout is seen exactly once, whatever is
//! added or deleted meanwhile, and the server keeps nothing between pages.

use std::{fmt::Write, ops::Bound};

use crate::error::{Result, StoreError};

/// Which list a cursor belongs to. The number is in the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    VideosById = 0,
    VideosByCreatedDate = 1,
    VideosByName = 2,
    Objects = 3,
}

const DESCENDING: u8 = 1 << 4;
const BACKWARD: u8 = 1 << 5;
const INCLUSIVE: u8 = 1 << 6;
const CHECK_BYTES: usize = 4;

/// Where a page begins. Opaque: comes from a [`Page`] or from the token of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    kind: u8,
    descending: bool,
    /// The page ends here, in the list's order, instead of beginning here.
    backward: bool,
    /// An item with this very key belongs to the page.
    inclusive: bool,
    key: Vec<u8>,
}

impl Cursor {
    /// `[0-9a-f]+`
    pub fn to_token(&self) -> String {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = self.kind | flag(self.descending, DESCENDING) | flag(self.backward, BACKWARD) | flag(self.inclusive, INCLUSIVE);
        let mut bytes = vec![flags];
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut token, byte| {
            // Writing to a string cannot fail.
            let _ = write!(token, "{byte:02x}");
            token
        })
    }

    /// A token that was not made by [`Cursor::to_token`] is a bad `page`.
    pub fn from_token(token: &str) -> ocellus_core::Result<Self> {
        Self::parse(token).ok_or_else(|| StoreError::Cursor.into())
    }

    fn parse(token: &str) -> Option<Self> {
        if !token.len().is_multiple_of(2) || !token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let bytes = (0..token.len()).step_by(2).map(|i| u8::from_str_radix(token.get(i..i + 2)?, 16).ok()).collect::<Option<Vec<u8>>>()?;
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        if crc32fast::hash(body).to_be_bytes() != *check {
            return None;
        }
        let (&flags, key) = body.split_first()?;
        let is = |bit: u8| flags & bit != 0;
        Some(Self { kind: flags & 0xf, descending: is(DESCENDING), backward: is(BACKWARD), inclusive: is(INCLUSIVE), key: key.to_vec() })
    }
}

/// A part of a list, in the list's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` where nothing follows.
    pub next: Option<Cursor>,
    /// `None` where nothing comes before, and on the first page.
    pub prev: Option<Cursor>,
}

pub(crate) type Walk<'a, T> = Box<dyn Iterator<Item = Result<(Vec<u8>, T)>> + 'a>;

/// Items in the order of their keys, which are unique.
pub(crate) trait Ordered {
    type Item;

    /// From `start` on, upwards or downwards.
    fn walk(&self, start: Bound<&[u8]>, ascending: bool) -> Walk<'_, Self::Item>;
}

/// A list that is small enough to hold.
pub(crate) struct Sorted<T>(Vec<(Vec<u8>, T)>);

impl<T> Sorted<T> {
    pub(crate) fn new(mut items: Vec<(Vec<u8>, T)>) -> Self {
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.dedup_by(|a, b| a.0 == b.0);
        Self(items)
    }
}

impl<T: Clone> Ordered for Sorted<T> {
    type Item = T;

    fn walk(&self, start: Bound<&[u8]>, ascending: bool) -> Walk<'_, T> {
        let below = |limit: &[u8], or_equal: bool| self.0.partition_point(|(key, _)| **key < *limit || (or_equal && **key == *limit));
        let items = self.0.iter().cloned().map(Ok);
        if ascending {
            let skip = match start {
                Bound::Unbounded => 0,
                Bound::Included(key) => below(key, false),
                Bound::Excluded(key) => below(key, true),
            };
            Box::new(items.skip(skip))
        } else {
            let take = match start {
                Bound::Unbounded => self.0.len(),
                Bound::Included(key) => below(key, true),
                Bound::Excluded(key) => below(key, false),
            };
            Box::new(items.take(take).rev())
        }
    }
}

fn bound(key: &[u8], inclusive: bool) -> Bound<&[u8]> {
    if inclusive { Bound::Included(key) } else { Bound::Excluded(key) }
}

/// One page of those items of `list` that `keep` lets through. Costs what it walks over: the page, and what is left out
/// within it and up to the next item beside it.
pub(crate) fn page<L: Ordered>(
    list: &L,
    kind: ListKind,
    descending: bool,
    limit: usize,
    cursor: Option<&Cursor>,
    keep: impl Fn(&L::Item) -> bool,
) -> Result<Page<(Vec<u8>, L::Item)>> {
    let limit = limit.max(1);
    if cursor.is_some_and(|c| c.kind != kind as u8 || c.descending != descending) {
        return Err(StoreError::Cursor);
    }
    let backward = cursor.is_some_and(|c| c.backward);
    let ascending = descending == backward;
    let kept = |entry: &Result<(Vec<u8>, L::Item)>| entry.as_ref().map_or(true, |(_, item)| keep(item));

    let start = cursor.map_or(Bound::Unbounded, |c| bound(&c.key, c.inclusive));
    let mut items = list.walk(start, ascending).filter(kept).take(limit.saturating_add(1)).collect::<Result<Vec<_>>>()?;
    let more = items.len() > limit;
    items.truncate(limit);

    let beside = |backward: bool, inclusive: bool, key: &[u8]| Cursor { kind: kind as u8, descending, backward, inclusive, key: key.to_vec() };
    let ahead = items.last().filter(|_| more).map(|(key, _)| beside(backward, false, key));
    let behind = match cursor {
        None => None,
        Some(cursor) => {
            // Where the page turned out empty, its far side begins right where it began.
            let (key, inclusive) = items.first().map_or((&cursor.key, !cursor.inclusive), |(key, _)| (key, false));
            let another = list.walk(bound(key, inclusive), !ascending).find(kept).transpose()?;
            another.map(|_| beside(!backward, inclusive, key))
        }
    };
    let (next, prev) = if backward { (behind, ahead) } else { (ahead, behind) };
    if backward {
        items.reverse();
    }
    Ok(Page { items, next, prev })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        (0u8..4, any::<bool>(), any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, descending, backward, inclusive, key)| Cursor { kind, descending, backward, inclusive, key })
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_token(cursor in cursors()) {
            let token = cursor.to_token();
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            prop_assert_eq!(Cursor::from_token(&token).unwrap(), cursor);
        }

        #[test]
        fn what_is_no_token_is_a_bad_page(text in ".{0,40}") {
            let error = Cursor::from_token(&text).unwrap_err();
            prop_assert_eq!(error.param(), Some("page"));
        }

        #[test]
        fn a_changed_token_is_refused(cursor in cursors(), at in any::<prop::sample::Index>(), c in "[0-9a-f]") {
            let mut token = cursor.to_token();
            let at = at.index(token.len());
            if token[at..=at] != c {
                token.replace_range(at..=at, &c);
                prop_assert!(Cursor::from_token(&token).is_err());
            }
        }

        #[test]
        fn pages_there_and_back_are_the_list(keys in prop::collection::btree_set(0u8..60, 0..30), limit in 1usize..8, descending: bool) {
            let list = Sorted::new(keys.iter().map(|&k| (vec![k], k)).collect());
            let get = |cursor: Option<&Cursor>| page(&list, ListKind::VideosById, descending, limit, cursor, |k| k % 3 != 0).unwrap();
            let mut expected: Vec<u8> = keys.into_iter().filter(|k| k % 3 != 0).collect();
            if descending {
                expected.reverse();
            }
            let mut pages = vec![get(None)];
            prop_assert!(pages[0].prev.is_none());
            while let Some(next) = pages.last().unwrap().next.clone() {
                pages.push(get(Some(&next)));
            }
            let items = |p: &Page<(Vec<u8>, u8)>| p.items.iter().map(|i| i.1).collect::<Vec<_>>();
            prop_assert_eq!(pages.iter().flat_map(items).collect::<Vec<_>>(), expected);
            for n in (1..pages.len()).rev() {
                let back = get(pages[n].prev.as_ref());
                prop_assert_eq!(items(&back), items(&pages[n - 1]));
                prop_assert_eq!(back.prev.is_none(), n == 1);
            }
        }
    }
}
