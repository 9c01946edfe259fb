//! Tracklet builder: chains of detections that overlap from frame to frame and look like one
//! individual.
//!
//! A tracker that associates by overlap merges two individuals where the second appears in the
//! place of the first: a cut before the same background, or somebody who takes another's seat.
//! Where a detection overlaps the tracklet's last one but differs from it in colour, or follows a
//! pause, both are embedded and compared, also with the tracklet's earlier samples: the least of
//! these distances decides, so that a turning head, or one bad picture, does not begin a tracklet.
//! A picture much worse than the tracklet's best is ignored for a moment; the next good one
//! decides.
//!
//! Works at detection time, when the pixels are available; its results are in the detection log,
//! and the analysis splits tracks by them. Also takes the samples from which an object's embedding
//! is made.
//!
//! | cost | |
//! |---|---|
//! | per detection | overlaps with the tracklets of its type |
//! | per tracklet | at most [`SAMPLES`] embeddings, after .4 s, .8 s, 1.6 s, ... |
//! | per change of colour or pause | two embeddings, at most every [`RETEST`] seconds |
//!
//! Colours alone do not distinguish two individuals. An object of a type without an embedder is
//! another one if its colours changed and so did the face in it, or so much of the picture that a
//! cut is possible. What passes in front of an object changes as much: there the object was hidden
//! in between, or has the colours of an earlier picture again. Holds the previous frame, and the
//! crops of tracklets that were not seen for a moment. Starts over at every cut, and when a job is
//! resumed.

use std::{collections::BTreeSet, sync::Arc};

use ocellus_core::{
    CpuMeter, Detection, Error, FrameRecord, Landmarks, ObjectType, Rect, Result, RgbImage, ScoreThresholds,
    TrackletId, Tracklets, squared_distance,
};
use ocellus_detect::{Embedder, Embedders};
use ocellus_media::Frame;

use crate::{
    cut::SceneChange,
    identity::{APPEARANCE_SAME, Crop, embedder_of_appearances},
};

/// Least intersection over union with a tracklet's last box.
const OVERLAP: f32 = 0.1;
/// Seconds that a tracklet stays open after its last detection.
const REMEMBERED: f64 = 5.0;
/// Seconds without a detection after which the next one is always compared.
const PAUSE: f64 = 0.5;
/// Euclidean distance of the colours of successive detections from which on they are compared by
/// their embeddings. In recordings of one person it was exceeded once in fifty frames; at joins of
/// two persons it was at least .16.
const COLOUR: f32 = 0.12;
/// As [`COLOUR`], where the log has directions of embeddings in place of colours.
const DIRECTION: f32 = 0.6;
/// Seconds between two comparisons of one tracklet, unless the colour differs by more.
const RETEST: f64 = 0.2;
/// Share of the best quality so far that a detection needs to be compared, and to be a sample.
const COMPARABLE: f32 = 0.4;
const SAMPLE: f32 = 0.75;
/// Seconds that a comparison waits for a detection of that quality.
const WAIT: f64 = 0.4;
/// Greatest number of samples of a tracklet, and seconds until the first; the time doubles with
/// each.
const SAMPLES: u32 = 8;
const FIRST_SAMPLE: f64 = 0.4;

/// A tracklet that may continue.
struct Open {
    id: TrackletId,
    /// Its last detection.
    rect: Rect,
    appearance: Vec<f32>,
    landmarks: Option<Landmarks>,
    frame: u64,
    time: f64,
    began: f64,
    best_quality: f32,
    /// Embedder input of its last detection, or of the last one before a detection that could not
    /// be compared; `None` while that is in the previous frame.
    crop: Option<RgbImage>,
    /// Time since which detections that have to be compared were too bad for it.
    suspect: Option<f64>,
    /// Embeddings of earlier pictures; appearances where its type has no embedder.
    samples: Vec<Vec<f32>>,
    /// When it was last compared, and the distance of colours then.
    compared: Option<(f64, f32)>,
}

impl Open {
    fn new(id: TrackletId, now: &Now<'_>, detection: &Detection) -> Self {
        Self {
            id,
            rect: detection.rect,
            appearance: detection.appearance.clone(),
            landmarks: detection.landmarks,
            frame: now.frame.index(),
            time: now.frame.time(),
            began: now.frame.time(),
            best_quality: detection.quality,
            crop: None,
            suspect: None,
            samples: Vec::new(),
            compared: None,
        }
    }

    fn see(&mut self, now: &Now<'_>, detection: &Detection) {
        self.rect = detection.rect;
        self.appearance.clone_from(&detection.appearance);
        self.landmarks = detection.landmarks;
        (self.frame, self.time) = (now.frame.index(), now.frame.time());
        self.best_quality = self.best_quality.max(detection.quality);
        if self.suspect.is_none() {
            self.crop = None;
        }
    }

    /// Whether a sample is due. Samples taken by comparisons count.
    fn is_due(&self, now: &Now<'_>, detection: &Detection) -> bool {
        let taken = self.samples.len() as u32;
        taken < SAMPLES
            && detection.quality >= SAMPLE * self.best_quality
            && now.frame.time() - self.began >= FIRST_SAMPLE * f64::from(1_u32 << taken)
    }

    /// Whether a detection has to be compared; `differs`: distance of colours above which they
    /// differ.
    fn is_in_doubt(&self, now: &Now<'_>, detection: &Detection, differs: f32) -> bool {
        let far = far(&self.appearance, &detection.appearance);
        let time = now.frame.time();
        let is_settled = self.compared.is_some_and(|(at, then)| time - at < RETEST && far <= then);
        self.suspect.is_some() || (!is_settled && (now.is_doubtful || far > differs || time - self.time > PAUSE))
    }
}

/// The current frame, and its context.
struct Now<'a> {
    frame: &'a Frame,
    before: Option<&'a Frame>,
    /// Whether a cut before it is possible.
    is_doubtful: bool,
    meter: &'a Arc<CpuMeter>,
}

/// The tracklets of one object type.
struct TypeTracklets {
    object_type: ObjectType,
    scores: ScoreThresholds,
    /// Whether its log has directions in place of colours.
    has_directions: bool,
    open: Vec<Open>,
}

/// Builds the tracklets of a job, frame by frame.
pub(crate) struct TrackletBuilder<'a> {
    embedders: &'a Embedders,
    /// Types with an embedder come first.
    types: Vec<TypeTracklets>,
    /// The last frame that detectors got.
    before: Option<Frame>,
}

impl<'a> TrackletBuilder<'a> {
    /// For detections of these types; `compared`: those whose trackers compare appearances;
    /// `scores`: thresholds below which a detection is weak, and in no tracklet.
    pub(crate) fn new(
        embedders: &'a Embedders,
        types: &[ObjectType],
        compared: &[ObjectType],
        scores: &[(ObjectType, ScoreThresholds)],
    ) -> Self {
        let (with, without): (Vec<_>, Vec<_>) = types.iter().cloned().partition(|t| embedders.for_type(t).is_some());
        let types = with
            .into_iter()
            .chain(without)
            .map(|object_type| TypeTracklets {
                has_directions: embedder_of_appearances(embedders, &object_type, compared).is_some(),
                scores: scores.iter().find(|(t, _)| *t == object_type).map(|(_, s)| *s).unwrap_or_default(),
                object_type,
                open: Vec::new(),
            })
            .collect();
        Self { embedders, types, before: None }
    }

    /// Adds the tracklets of a frame's detections to its record. `change`: the change before it;
    /// `meter`: for the networks' CPU time.
    pub(crate) fn follow(
        &mut self,
        frame: &Frame,
        change: SceneChange,
        record: &mut FrameRecord,
        meter: &Arc<CpuMeter>,
    ) -> Result<()> {
        if record.is_static || self.types.is_empty() {
            return Ok(());
        }
        if record.cut || self.before.as_ref().is_some_and(|before| before.size() != frame.size()) {
            self.types.iter_mut().for_each(|t| t.open.clear());
            self.before = None;
        }
        let is_doubtful = change != SceneChange::None;
        let now = Now { frame, before: self.before.as_ref(), is_doubtful, meter };
        // Boxes in which another individual has appeared.
        let mut changed = Vec::new();
        for tracklets in &mut self.types {
            let detections = record.detections.iter().find(|(t, _)| *t == tracklets.object_type);
            let detections = tracklets.scores.strong(detections.map_or(&[][..], |(_, detections)| detections));
            let found = match self.embedders.for_type(&tracklets.object_type) {
                Some(embedder) => tracklets.follow(&now, detections, &mut Judge::Network(embedder, &mut changed))?,
                None => tracklets.follow(&now, detections, &mut Judge::Colours(&changed))?,
            };
            if !found.ids.is_empty() {
                record.tracklets.push((tracklets.object_type.clone(), found));
            }
        }
        self.before = Some(frame.clone());
        Ok(())
    }
}

/// Criterion that distinguishes two individuals of a type.
enum Judge<'a> {
    /// The embedder; the list collects the boxes of individuals that replaced another.
    Network(&'a Embedder, &'a mut Vec<Rect>),
    /// Colours, if a cut is possible or one of these faces, which replaced another, is within the
    /// box.
    Colours(&'a [Rect]),
}

/// A detection with the tracklet that it overlaps, by index.
struct Pair {
    place: usize,
    tracklet: usize,
}

impl TypeTracklets {
    fn follow(&mut self, now: &Now<'_>, detections: &[Detection], judge: &mut Judge<'_>) -> Result<Tracklets> {
        let time = now.frame.time();
        self.open.retain(|open| time - open.time <= REMEMBERED);
        let pairs = self.pairs(detections, now);
        let differs = if self.has_directions { DIRECTION } else { COLOUR };
        let by_colours = matches!(judge, Judge::Colours(_));
        let mut found = Tracklets::default();
        let replaced: BTreeSet<usize> = match judge {
            Judge::Network(embedder, changed) => {
                let replaced = self.compare(now, detections, &pairs, embedder, differs, &mut found)?;
                changed.extend(replaced.iter().filter_map(|place| detections.get(*place)).map(|d| d.rect));
                replaced
            }
            Judge::Colours(changed) => {
                let is_replaced = |pair: &&Pair| {
                    let (Some(open), Some(d)) = (self.open.get(pair.tracklet), detections.get(pair.place)) else {
                        return false;
                    };
                    let changes = far(&open.appearance, &d.appearance);
                    let is_other_face = || changed.iter().any(|face| holds(&d.rect, face));
                    let is_new = |past: &Vec<f32>| far(past, &d.appearance) > APPEARANCE_SAME;
                    let is_cut = || now.before.map(Frame::index) == Some(open.frame) && open.samples.iter().all(is_new);
                    (now.is_doubtful && changes > APPEARANCE_SAME && is_cut()) || (changes > differs && is_other_face())
                };
                pairs.iter().filter(is_replaced).map(|pair| pair.place).collect()
            }
        };
        let tracklet_of = |place: usize| pairs.iter().find(|pair| pair.place == place).map(|pair| pair.tracklet);
        let mut ended = BTreeSet::new();
        for (place, detection) in detections.iter().enumerate() {
            let new = TrackletId { frame: now.frame.index(), place: place as u32 };
            let tracklet = tracklet_of(place).and_then(|n| self.open.get_mut(n).map(|open| (n, open)));
            let id = match tracklet {
                Some((_, open)) if !replaced.contains(&place) => {
                    if by_colours && open.is_due(now, detection) {
                        open.samples.push(detection.appearance.clone());
                    }
                    open.see(now, detection);
                    open.id
                }
                overlapped => {
                    if let Some((n, open)) = overlapped {
                        found.replaced.push((new, open.id));
                        ended.insert(n);
                    }
                    let mut open = Open::new(new, now, detection);
                    // The embedding that it was compared by is its first sample.
                    let own = found.embeddings.iter().filter(|(at, _)| *at as usize == place);
                    open.samples.extend(own.map(|(_, embedding)| embedding.clone()));
                    open.samples.extend(by_colours.then(|| detection.appearance.clone()));
                    self.open.push(open);
                    new
                }
            };
            found.ids.push(id);
        }
        let mut n = 0;
        self.open.retain(|_| {
            n += 1;
            !ended.contains(&(n - 1))
        });
        Ok(found)
    }

    /// Pairs detections and tracklets that overlap the most, those of the previous frame first.
    fn pairs(&self, detections: &[Detection], now: &Now<'_>) -> Vec<Pair> {
        let before = now.before.map(Frame::index);
        let mut all = Vec::new();
        for (place, detection) in detections.iter().enumerate() {
            for (tracklet, open) in self.open.iter().enumerate() {
                let overlap = open.rect.iou(&detection.rect);
                if overlap >= OVERLAP {
                    all.push((Some(open.frame) != before, overlap, Pair { place, tracklet }));
                }
            }
        }
        all.sort_by(|(lost, a, p), (other, b, q)| {
            let places = (p.place, p.tracklet).cmp(&(q.place, q.tracklet));
            lost.cmp(other).then(b.total_cmp(a)).then(places)
        });
        let (mut places, mut tracklets) = (BTreeSet::new(), BTreeSet::new());
        all.retain(|(_, _, pair)| {
            let is_free = !places.contains(&pair.place) && !tracklets.contains(&pair.tracklet);
            if is_free {
                places.insert(pair.place);
                tracklets.insert(pair.tracklet);
            }
            is_free
        });
        all.into_iter().map(|(_, _, pair)| pair).collect()
    }

    /// Compares the detections that are in doubt with their tracklets, and takes the samples that
    /// are due; returns the indices of those that show another individual.
    fn compare(
        &mut self,
        now: &Now<'_>,
        detections: &[Detection],
        pairs: &[Pair],
        embedder: &Embedder,
        differs: f32,
        found: &mut Tracklets,
    ) -> Result<BTreeSet<usize>> {
        /// A detection to be embedded: its pair, its input, and that of the tracklet if it is
        /// compared.
        struct Wanted<'p> {
            pair: &'p Pair,
            input: RgbImage,
            before: Option<Option<RgbImage>>,
        }
        self.keep_crops(now, pairs, embedder);
        let mut wanted = Vec::new();
        for pair in pairs {
            let (Some(open), Some(detection)) = (self.open.get_mut(pair.tracklet), detections.get(pair.place)) else {
                continue;
            };
            let in_doubt = open.is_in_doubt(now, detection, differs);
            let before = |open: &Open| {
                let seen = now.before.filter(|before| before.index() == open.frame);
                let crop = seen
                    .and_then(|frame| crop(frame, &self.object_type, &open.rect, open.landmarks.as_ref(), embedder));
                open.crop.clone().or(crop)
            };
            let may_wait = open.suspect.is_none_or(|since| now.frame.time() - since < WAIT);
            if in_doubt && may_wait && detection.quality < COMPARABLE * open.best_quality {
                if open.suspect.is_none() {
                    open.crop = before(open);
                    open.suspect = Some(now.frame.time());
                }
                continue;
            }
            if !in_doubt && !open.is_due(now, detection) {
                continue;
            }
            let input = crop(now.frame, &self.object_type, &detection.rect, detection.landmarks.as_ref(), embedder);
            let Some(input) = input else { continue };
            wanted.push(Wanted { pair, input, before: in_doubt.then(|| before(open)) });
        }
        if wanted.is_empty() {
            return Ok(BTreeSet::new());
        }
        let inputs: Vec<RgbImage> =
            wanted.iter().flat_map(|w| [Some(w.input.clone()), w.before.clone().flatten()]).flatten().collect();
        let mut embedded = embedder.embed(&inputs, now.meter).map_err(Error::internal)?.into_iter();
        let mut replaced = BTreeSet::new();
        for Wanted { pair, before, .. } in wanted {
            let Some(embedding) = embedded.next() else { break };
            let compared = before.is_some();
            let before = before.flatten().and_then(|_| embedded.next());
            let (Some(open), Some(detection)) = (self.open.get_mut(pair.tracklet), detections.get(pair.place)) else {
                continue;
            };
            let nearest = before.iter().chain(&open.samples).map(|past| far(past, &embedding)).reduce(f32::min);
            if compared && nearest.is_some_and(|nearest| nearest >= embedder.jump()) {
                replaced.insert(pair.place);
                found.embeddings.push((pair.place as u32, embedding));
                continue;
            }
            if compared {
                let colours = far(&open.appearance, &detection.appearance);
                open.compared = Some((now.frame.time(), colours));
                (open.suspect, open.crop) = (None, None);
            }
            if open.is_due(now, detection) {
                open.samples.push(embedding.clone());
                found.embeddings.push((pair.place as u32, embedding));
            }
        }
        Ok(replaced)
    }

    /// Stores the crops of tracklets without a detection in this frame, while the previous one is
    /// available.
    fn keep_crops(&mut self, now: &Now<'_>, pairs: &[Pair], embedder: &Embedder) {
        let Some(before) = now.before else { return };
        let seen: BTreeSet<usize> = pairs.iter().map(|pair| pair.tracklet).collect();
        for (n, open) in self.open.iter_mut().enumerate() {
            if !seen.contains(&n) && open.frame == before.index() && open.crop.is_none() {
                open.crop = crop(before, &self.object_type, &open.rect, open.landmarks.as_ref(), embedder);
            }
        }
    }
}

fn crop(
    frame: &Frame,
    object_type: &ObjectType,
    rect: &Rect,
    landmarks: Option<&Landmarks>,
    embedder: &Embedder,
) -> Option<RgbImage> {
    Crop { frame, object_type, rect: *rect, landmarks }.input(embedder)
}

/// Euclidean distance; 0 where the two cannot be compared.
fn far(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    squared_distance(a, b).sqrt()
}

/// Whether a face is that of a body: its middle lies in the upper half of the body's box.
fn holds(body: &Rect, face: &Rect) -> bool {
    let middle = face.center();
    (body.left..body.right).contains(&middle.x) && (body.top..body.center().y).contains(&middle.y)
}

#[cfg(test)]
mod tests;
