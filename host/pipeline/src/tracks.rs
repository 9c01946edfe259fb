//! Boxes of a video's tracks in a time range, for players.
//!
//! Read from the file that the job writes; where that is missing or incomplete once the job is
//! over, a replay writes it again.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
};

use ocellus_core::{ObjectId, ObjectType, Result, TrackId};
use ocellus_media::Interrupt;
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, StoredJob, TrackFrame};

use crate::{analysis::TrackKey, replay};

/// Difference of stream times that counts as none, in seconds: they are printed with six digits.
const SAME: f64 = 1e-6;

/// Query for the tracks of a video in a time range.
#[derive(Clone, Copy, Debug)]
pub struct TrackQuery {
    /// Stream time of the first frame, in seconds.
    pub from: f64,
    /// Stream time of the last frame, in seconds.
    pub to: f64,
    /// Least number of seconds between two boxes of a track; 0 for all.
    pub step: f64,
    /// Greatest number of boxes. The answer ends before the first frame that would exceed it.
    pub most: usize,
}

/// Tracks with their boxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracks {
    /// By type and number.
    pub tracks: Vec<TrackBoxes>,
    /// Stream time of the first frame that is missing because there are too many boxes.
    pub to: Option<f64>,
}

/// Stream times in seconds with left, top, right, bottom in pixels, in order.
type Boxes = Vec<(f64, [i32; 4])>;

/// One track.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackBoxes {
    /// Its type.
    pub object_type: ObjectType,
    /// Its number among the job's tracks of this type.
    pub id: TrackId,
    /// The object of the track; `None` where it gave none, or has not ended.
    pub object: Option<ObjectId>,
    /// Stream times in seconds with left, top, right, bottom in pixels, in order.
    pub boxes: Vec<(f64, [i32; 4])>,
}

/// Contents of the file of a job's tracks; `None` where there is none, or where the job is over
/// (`is_over`) and the file lacks frames.
pub(crate) fn read(archive: &Archive, job: &StoredJob, query: &TrackQuery, is_over: bool) -> Result<Option<Tracks>> {
    let mut tracks = Collected { query: *query, tracks: BTreeMap::new(), boxes: 0, to: None };
    let has_ended = job.tracks(query.from, query.to, |frame| tracks.add(frame))?;
    if !has_ended.is_some_and(|has_ended| has_ended || !is_over) {
        return Ok(None);
    }
    let Collected { tracks, to, .. } = tracks;
    let object_of = |(object_type, track): &TrackKey| ObjectId {
        job: job.id(),
        object_type: object_type.clone(),
        track: *track,
        shot: 0,
    };
    let ids: Vec<_> = tracks.keys().map(object_of).collect();
    let times = archive.objects_of(job.id(), &ids)?.into_iter().map(|o| (o.id, (o.first.time, o.last.time)));
    let times: HashMap<_, _> = times.collect();
    let track = |(key, boxes): (TrackKey, Boxes)| {
        let seen = boxes.first().map_or(f64::NAN, |(time, _)| *time);
        // A replay by other plugins than those of the job may give the number to another track.
        let is_its = |id: &ObjectId| times.get(id).is_some_and(|(a, b)| (a - SAME..=b + SAME).contains(&seen));
        let object = Some(object_of(&key)).filter(is_its);
        TrackBoxes { object_type: key.0, id: key.1, object, boxes }
    };
    Ok(Some(Tracks { tracks: tracks.into_iter().map(track).collect(), to }))
}

/// Builds the file of a job's tracks by a replay, unless it is there.
pub(crate) fn make(archive: &Archive, job: &StoredJob, plugins: &Plugins, interrupt: &Interrupt) -> Result<()> {
    if job.tracks(0.0, 0.0, |_| ControlFlow::Break(()))? == Some(true) {
        return Ok(());
    }
    archive.make_tracks(job.id(), |writer| replay::boxes(job, plugins, interrupt, &mut |frame| Ok(writer.add(frame)?)))
}

/// Tracks read so far.
struct Collected {
    query: TrackQuery,
    tracks: BTreeMap<TrackKey, Boxes>,
    boxes: usize,
    to: Option<f64>,
}

impl Collected {
    fn add(&mut self, TrackFrame { time, boxes }: TrackFrame) -> ControlFlow<()> {
        let TrackQuery { step, most, .. } = self.query;
        let is_due = |tracks: &BTreeMap<TrackKey, Boxes>, key: &TrackKey| {
            let last = tracks.get(key).and_then(|boxes| boxes.last());
            last.is_none_or(|(last, _)| time - last >= step - SAME)
        };
        let wanted: Vec<_> = boxes
            .into_iter()
            .map(|(object_type, track, bbox)| ((object_type, track), bbox))
            .filter(|(key, _)| is_due(&self.tracks, key))
            .collect();
        // A frame that exceeds the limit alone is returned whole, or no query could get past it.
        if self.boxes > 0 && self.boxes + wanted.len() > most {
            self.to = Some(time);
            return ControlFlow::Break(());
        }
        self.boxes += wanted.len();
        for (key, bbox) in wanted {
            self.tracks.entry(key).or_default().push((time, bbox));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(query: TrackQuery) -> (Vec<(u64, Vec<f64>)>, Option<f64>) {
        let mut collected = Collected { query, tracks: BTreeMap::new(), boxes: 0, to: None };
        for n in 0..20_u32 {
            let boxes = [1, 2].map(|track| (ObjectType::face(), TrackId(track), [0, 0, 1, 1]));
            let boxes = boxes.into_iter().filter(|(_, track, _)| track.0 == 1 || n >= 10).collect();
            if collected.add(TrackFrame { time: f64::from(n) / 10.0, boxes }).is_break() {
                break;
            }
        }
        let times = |boxes: Vec<(f64, [i32; 4])>| boxes.into_iter().map(|(time, _)| time).collect();
        (collected.tracks.into_iter().map(|((_, id), boxes)| (id.0, times(boxes))).collect(), collected.to)
    }

    #[test]
    fn a_step_omits_boxes_but_no_tracks() {
        let query = TrackQuery { from: 0.0, to: 9.0, step: 0.5, most: 100 };
        let (tracks, to) = collect(query);
        assert_eq!(tracks, [(1, vec![0.0, 0.5, 1.0, 1.5]), (2, vec![1.0, 1.5])]);
        assert_eq!(to, None);
        let (all, _) = collect(TrackQuery { step: 0.0, ..query });
        assert_eq!((all[0].1.len(), all[1].1.len()), (20, 10));
    }

    #[test]
    fn a_full_answer_says_where_the_next_begins() {
        let query = TrackQuery { from: 0.0, to: 9.0, step: 0.0, most: 13 };
        let (tracks, to) = collect(query);
        assert_eq!((tracks[0].1.len(), tracks[1].1.len(), to), (11, 1, Some(1.1)));
        let (tracks, to) = collect(TrackQuery { most: 0, ..query });
        assert_eq!((tracks.len(), to), (1, Some(0.1)), "it always makes progress");
    }
}
