//! Query strings: repeated keys, comma lists, and refusals that name the parameter.

use std::{convert::Infallible, fmt::Display, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use ocellus_core::{Error, Result};
use serde_json::Value;
use url::form_urlencoded;

/// Longer than any recording.
const MAX_SECONDS: f64 = 1e9;

/// The pairs of a query string, decoded, in order. Any bytes parse: invalid
/// UTF-8 is replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The last value of a parameter; an empty one counts as none, as in the vendor's server.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of an array parameter: `a=1&a=2`, `a[]=1&a[]=2`, `a=1,2`, or a mixture.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key.strip_suffix("[]").unwrap_or(key) == name)
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    /// The parameters that have a value, without the brackets of arrays.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(key, _)| key.strip_suffix("[]").unwrap_or(key))
    }

    /// [`Self::last`] as a whole number.
    pub(crate) fn integer<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.last(name).map(|text| integer(name, text)).transpose()
    }

    /// A whole number from 1; one above `most`, of whatever size, is `most`.
    pub(crate) fn capped(&self, name: &str, most: usize) -> Result<Option<usize>> {
        let Some(text) = self.last(name) else { return Ok(None) };
        let digits = without_fraction(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u64>().is_err() {
            return Ok(Some(most));
        }
        Ok(self.integer_within(name, 1, usize::MAX)?.map(|n| n.min(most)))
    }

    /// A whole number within bounds.
    pub(crate) fn integer_within<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<Option<T>> {
        match self.integer::<T>(name)? {
            Some(n) if n < least => {
                Err(Error::bad_param(name, format!("Ensure this value is greater than or equal to {least}.")))
            }
            Some(n) if n > most => {
                Err(Error::bad_param(name, format!("Ensure this value is less than or equal to {most}.")))
            }
            other => Ok(other),
        }
    }

    /// A number from 0 to 1.
    pub(crate) fn share(&self, name: &str) -> Result<Option<f32>> {
        let share = |text: &str| text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
        self.last(name)
            .map(|text| share(text).ok_or_else(|| Error::bad_param(name, "A number from 0 to 1 is required.")))
            .transpose()
    }

    /// A number of seconds from 0 to [`MAX_SECONDS`].
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<f64>> {
        let seconds = |text: &str| {
            let within = text.parse::<f64>().ok().filter(|t| (0.0..=MAX_SECONDS).contains(t));
            within.ok_or_else(|| Error::bad_param(name, format!("Enter a number of seconds from 0 to {MAX_SECONDS}.")))
        };
        self.last(name).map(seconds).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.last(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Error::bad_param(name, "Must be a valid boolean.")),
        }
    }

    /// The query string, encoded, with `value` for `name` as its last pair: some clients cut the
    /// cursor from the end of a URL.
    pub(crate) fn with_last(&self, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(key, _)| key != name);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair(name, value).finish()
    }
}

/// A whole number; `1.0` is one, too, since generated clients send numbers so.
pub(crate) fn integer<T: FromStr>(name: &str, text: &str) -> Result<T> {
    without_fraction(text).parse().map_err(|_| Error::bad_param(name, "A valid integer is required."))
}

/// `1`, `1.0` and `"1"` are the same number, as in the vendor's framework.
pub(crate) fn whole_number(value: &Value) -> Option<i64> {
    /// 2^53, from which on a double cannot represent every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::String(text) => without_fraction(text).parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < EXACT)?;
            Some(number as i64)
        }),
        _ => None,
    }
}

/// The text of a number without a fraction of zeros, which the vendor's framework drops, too.
fn without_fraction(text: &str) -> &str {
    let text = text.trim();
    match text.split_once('.') {
        Some((whole, zeros)) if !whole.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// Refuses parameters other than these and those of every list.
pub(crate) fn only(query: &Query, known: &[&str]) -> Result<()> {
    const OF_EVERY_LIST: [&str; 3] = ["limit", "page", "sign_urls"];
    match query.names().find(|name| !known.contains(name) && !OF_EVERY_LIST.contains(name)) {
        Some(unknown) => Err(Error::bad_param(unknown, "This list has no such parameter.")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_come_repeated_and_with_commas() {
        let query = Query::parse("id_in=1&x=9&id_in=2,3&id_in=&id_in=%204&id_in[]=5&id_in%5B%5D=6");
        assert_eq!(query.all("id_in").collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(query.all("none").count(), 0);
    }

    #[test]
    fn the_cursor_comes_last() {
        let query = Query::parse("page=old&name_contains=a%26b+c&limit=2");
        assert_eq!(query.with_last("page", "new"), "name_contains=a%26b+c&limit=2&page=new");
        assert_eq!(Query::parse("").with_last("page", "new"), "page=new");
    }

    #[test]
    fn bounds_are_reported() {
        let within =
            |text: &str| Query::parse(text).integer_within("limit", 1u32, 1000).map_err(|e| e.public().to_owned());
        assert_eq!(within("limit=1000"), Ok(Some(1000)));
        assert_eq!(within("limit="), Ok(None));
        assert_eq!(within("limit=0"), Err("Ensure this value is greater than or equal to 1.".into()));
        assert_eq!(within("limit=1001"), Err("Ensure this value is less than or equal to 1000.".into()));
        let share = |text: &str| Query::parse(text).share("limit").map_err(|e| e.public().to_owned());
        assert_eq!((share("limit=0.25"), share("")), (Ok(Some(0.25)), Ok(None)));
        for bad in ["limit=-0.1", "limit=1.1", "limit=NaN", "limit=half"] {
            assert_eq!(share(bad), Err("A number from 0 to 1 is required.".into()), "{bad}");
        }
        for bad in ["limit=-1", "limit=ten", "limit=1.5", "limit=.0", "limit=99999999999999999999"] {
            assert_eq!(within(bad), Err("A valid integer is required.".into()), "{bad}");
        }
        assert_eq!(within("limit=5.0"), Ok(Some(5)));
    }

    #[test]
    fn a_capped_number_is_never_too_large() {
        let capped = |text: &str| Query::parse(text).capped("limit", 1000).map_err(|e| e.public().to_owned());
        for large in ["limit=1000", "limit=1001", "limit=5000.0", "limit=99999999999999999999"] {
            assert_eq!(capped(large), Ok(Some(1000)), "{large}");
        }
        assert_eq!((capped("limit=7"), capped("limit=")), (Ok(Some(7)), Ok(None)));
        assert_eq!(capped("limit=0"), Err("Ensure this value is greater than or equal to 1.".into()));
        for bad in ["limit=-1", "limit=ten", "limit=-99999999999999999999"] {
            assert_eq!(capped(bad), Err("A valid integer is required.".into()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_pairs_survive_a_link(pairs in prop::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..5)) {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let kept = Query::parse(&Query::parse(&text).with_last("page", "c"));
            let expected = pairs.into_iter().filter(|(k, _)| k != "page").chain([("page".to_owned(), "c".to_owned())]).collect::<Vec<_>>();
            prop_assert_eq!(kept.0, expected);
        }

        #[test]
        fn any_text_is_a_query(text in "\\PC{0,40}") {
            let query = Query::parse(&text);
            let _ = query.integer::<u64>("limit");
            let _ = query.flag("rot");
        }
    }
}
