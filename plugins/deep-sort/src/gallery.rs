//! Gallery: the latest appearance descriptors of a track.

use std::collections::VecDeque;

use ocellus_plugin::Detection;
use serde::{Deserialize, Serialize};

/// Descriptors that a track keeps, as in the DeepSORT paper.
pub(crate) const LENGTH: usize = 100;

/// The oldest first; all of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gallery(VecDeque<Vec<f32>>);

impl Gallery {
    pub(crate) fn add(&mut self, detection: &Detection) {
        let Some(appearance) = detection.appearance.as_ref().filter(|a| !a.is_empty()) else { return };
        if self.0.back().is_some_and(|last| last.len() != appearance.len()) {
            // Of another network: they cannot be compared.
            self.0.clear();
        }
        if self.0.len() >= LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(appearance.clone());
    }

    /// The detection's descriptor, if it can be compared with those that are kept.
    pub(crate) fn comparable<'a>(&self, detection: &'a Detection) -> Option<&'a [f32]> {
        let last = self.0.back()?;
        detection.appearance.as_deref().filter(|a| a.len() == last.len())
    }

    /// The greatest cosine similarity, for descriptors of length 1; `None` where none are kept.
    pub(crate) fn similarity(&self, appearance: &[f32]) -> Option<f32> {
        let similarity = |kept: &Vec<f32>| kept.iter().zip(appearance).map(|(a, b)| a * b).sum::<f32>();
        self.0.iter().map(similarity).reduce(f32::max)
    }
}

/// Numbers that all galleries of a session may hold together: a snapshot has to stay small.
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl Budget {
    /// Drops the oldest descriptor of the longest gallery until the rest fits.
    pub(crate) fn keep<'a>(&self, galleries: impl Iterator<Item = &'a mut Gallery>) {
        let mut galleries: Vec<_> = galleries.collect();
        let numbers = |g: &Gallery| g.0.iter().map(Vec::len).sum::<usize>();
        let mut all: usize = galleries.iter().map(|g| numbers(g)).sum();
        while all > self.0 {
            let Some(longest) = galleries.iter_mut().max_by_key(|g| numbers(g)) else { return };
            all -= longest.0.pop_front().map_or(all, |dropped| dropped.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_plugin::Rect;

    use super::*;

    fn of(appearance: &[f32]) -> Detection {
        let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: Some(appearance.to_vec()) }
    }

    #[test]
    fn the_most_similar_counts_and_the_oldest_is_forgotten() {
        let mut gallery = Gallery::default();
        let similarity =
            |gallery: &Gallery, appearance: &[f32]| gallery.similarity(gallery.comparable(&of(appearance))?);
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), None);
        gallery.add(&of(&[1.0, 0.0]));
        (0..LENGTH - 1).for_each(|_| gallery.add(&of(&[0.0, 1.0])));
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), Some(1.0));
        gallery.add(&of(&[0.0, 1.0]));
        assert_eq!(similarity(&gallery, &[1.0, 0.0]), Some(0.0));
        assert_eq!(similarity(&gallery, &[1.0]), None);
        gallery.add(&of(&[0.5]));
        assert_eq!(similarity(&gallery, &[1.0]), Some(0.5));
    }

    #[test]
    fn a_budget_takes_from_the_longest() {
        let mut galleries = vec![Gallery::default(); 3];
        for (gallery, count) in galleries.iter_mut().zip([5, 2, 0]) {
            (0..count).for_each(|_| gallery.add(&of(&[1.0, 0.0])));
        }
        Budget(8).keep(galleries.iter_mut());
        assert_eq!(galleries.iter().map(|g| g.0.len()).collect::<Vec<_>>(), [2, 2, 0]);
    }
}
