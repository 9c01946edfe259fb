//! Gallery: the latest appearance descriptors of a track.

use std::collections::VecDeque;

use ocellus_plugin::Detection;
use serde::{Deserialize, Serialize};

/// Descriptors per track, as in the DeepSORT paper.
pub(crate) const CAPACITY: usize = 100;

/// Descriptors, the oldest first; all of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gallery(VecDeque<Vec<f32>>);

impl Gallery {
    pub(crate) fn add(&mut self, detection: &Detection) {
        let Some(appearance) = detection.appearance.as_ref().filter(|a| !a.is_empty()) else { return };
        if self.0.back().is_some_and(|last| last.len() != appearance.len()) {
            // A descriptor of another network, which cannot be compared.
            self.0.clear();
        }
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(appearance.clone());
    }

    /// The detection's descriptor, if it can be compared with those in the gallery.
    pub(crate) fn comparable<'a>(&self, detection: &'a Detection) -> Option<&'a [f32]> {
        let last = self.0.back()?;
        detection.appearance.as_deref().filter(|a| a.len() == last.len())
    }

    /// The greatest cosine similarity; `None` for an empty gallery. Descriptors have unit norm.
    pub(crate) fn similarity(&self, appearance: &[f32]) -> Option<f32> {
        let similarity = |kept: &Vec<f32>| kept.iter().zip(appearance).map(|(a, b)| a * b).sum::<f32>();
        self.0.iter().map(similarity).reduce(f32::max)
    }
}

/// Limit of the floats in all galleries of a session together: it bounds the size of a snapshot.
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl Budget {
    /// Drops the oldest descriptor of the largest gallery until the rest fits.
    pub(crate) fn enforce<'a>(&self, galleries: impl Iterator<Item = &'a mut Gallery>) {
        let mut galleries: Vec<_> = galleries.collect();
        let floats = |g: &Gallery| g.0.iter().map(Vec::len).sum::<usize>();
        let mut total: usize = galleries.iter().map(|g| floats(g)).sum();
        while total > self.0 {
            let Some(largest) = galleries.iter_mut().max_by_key(|g| floats(g)) else { return };
            total -= largest.0.pop_front().map_or(total, |dropped| dropped.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_plugin::Rect;

    use super::*;

    fn detection(appearance: &[f32]) -> Detection {
        let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: Some(appearance.to_vec()) }
    }

    #[test]
    fn similarity_is_the_greatest_and_the_oldest_descriptor_is_dropped() {
        let mut gallery = Gallery::default();
        let similarity =
            |gallery: &Gallery, appearance: &[f32]| gallery.similarity(gallery.comparable(&detection(appearance))?);
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), None);
        gallery.add(&detection(&[1.0, 0.0]));
        (0..CAPACITY - 1).for_each(|_| gallery.add(&detection(&[0.0, 1.0])));
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), Some(1.0));
        gallery.add(&detection(&[0.0, 1.0]));
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), Some(0.0));
        assert_eq!(similarity(&gallery, &[1.0]), None);
        gallery.add(&detection(&[0.5]));
        assert_eq!(similarity(&gallery, &[1.0]), Some(0.5));
    }

    #[test]
    fn a_budget_shrinks_the_largest_gallery() {
        let mut galleries = vec![Gallery::default(); 3];
        for (gallery, count) in galleries.iter_mut().zip([5, 2, 0]) {
            (0..count).for_each(|_| gallery.add(&detection(&[1.0, 0.0])));
        }
        Budget(8).enforce(galleries.iter_mut());
        assert_eq!(galleries.iter().map(|g| g.0.len()).collect::<Vec<_>>(), [2, 2, 0]);
    }
}
