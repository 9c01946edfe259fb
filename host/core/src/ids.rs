//! Identifiers of videos, jobs, tracks, objects and object types, in the form that the API and the
//! folders show.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Number of a video: positive, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VideoId(pub u64);

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job: one processing of a video. Prints as `<video>-<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId {
    /// The video that it processes.
    pub video: VideoId,
    /// Counts the jobs of the video, from 1.
    pub number: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.video, self.number)
    }
}

/// A track's number within one job and object type, assigned by its tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u64);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `face`, `body`, `car`, or a type that an installed detector declares: `[a-z][a-z0-9_]{0,31}`.
///
/// Ordered as the API lists them: face, body, car, then the others by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectType(Arc<str>);

impl ObjectType {
    /// `face`
    pub fn face() -> Self {
        Self("face".into())
    }

    /// `body`
    pub fn body() -> Self {
        Self("body".into())
    }

    /// `car`
    pub fn car() -> Self {
        Self("car".into())
    }

    /// As the API spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn rank(&self) -> u8 {
        match &*self.0 {
            "face" => 0,
            "body" => 1,
            "car" => 2,
            _ => 3,
        }
    }
}

impl Ord for ObjectType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ObjectType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectType {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let mut chars = s.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_lowercase());
        if starts && s.len() <= 32 && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            Ok(Self(s.into()))
        } else {
            Err(format!(
                "{s:?} is no object type: lower-case letters, digits and underscores, a letter first, 32 at most"
            ))
        }
    }
}

/// An object's identifier: `<video>-<job>-<type>-<track>-<shot>`.
///
/// Deterministic: a job that runs again after a crash gives the same object the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The job that created it.
    pub job: JobId,
    /// Tracks are numbered within their type.
    pub object_type: ObjectType,
    /// The track that it is a shot of.
    pub track: TrackId,
    /// 0 for the shot at the end of the track; realtime shots count from 1.
    pub shot: u32,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.job, self.object_type, self.track, self.shot)
    }
}

impl FromStr for ObjectId {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        // Only the canonical spelling is an id: "01-1-…" must not alias "1-1-…".
        fn number<T: FromStr + ToString>(part: Option<&str>) -> Option<T> {
            let part = part?;
            part.parse::<T>().ok().filter(|n| n.to_string() == part)
        }
        let mut parts = s.split('-');
        let parsed = (|| {
            let job = JobId { video: VideoId(number(parts.next())?), number: number(parts.next())? };
            let object_type = parts.next()?.parse().ok()?;
            let id = Self { job, object_type, track: TrackId(number(parts.next())?), shot: number(parts.next())? };
            parts.next().is_none().then_some(id)
        })();
        parsed.ok_or_else(|| format!("{s:?} is no object id"))
    }
}

macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(ObjectType, ObjectId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn object_types_are_listed_as_the_api_lists_them() {
        let mut types: Vec<ObjectType> =
            ["drone", "car", "body", "face", "animal"].map(|s| s.parse().unwrap()).to_vec();
        types.sort();
        assert_eq!(
            types.iter().map(ObjectType::as_str).collect::<Vec<_>>(),
            ["face", "body", "car", "animal", "drone"]
        );
    }

    #[test]
    fn an_object_id_has_one_spelling() {
        for bad in
            ["", "1-1-face-1", "01-1-face-1-0", "1-1-Face-1-0", "1-1-face-1-0-0", "1-1-face--1-0", "+1-1-face-1-0"]
        {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_object_id_survives_print_and_parse(video: u64, number: u32, track: u64, shot: u32, t in "[a-z][a-z0-9_]{0,31}") {
            let id = ObjectId { job: JobId { video: VideoId(video), number }, object_type: t.parse().unwrap(), track: TrackId(track), shot };
            prop_assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        }
    }
}
