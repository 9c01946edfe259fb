//! Metrics of embeddings on labelled pictures: separation of identities by distance, and agreement
//! of clusters with identities.
//!
//! AUC is the probability that two pictures of one identity are nearer than two of different ones.
//! TAR at a FAR: the share of pairs of one identity that are accepted at the distance at which that
//! share of the other pairs is. Rank-1: the share of pictures whose nearest other picture is of the
//! same identity. Purity: the share of pictures that belong to the most frequent identity of their
//! cluster; completeness: the share that lie in the most frequent cluster of their identity.

use std::collections::BTreeMap;

/// Distances of all pairs of pictures.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Of pairs of one identity, ascending.
    pub same: Vec<f32>,
    /// Of pairs of two identities, ascending.
    pub different: Vec<f32>,
    /// See the module's documentation; `None` without an identity of two pictures.
    pub rank1: Option<f64>,
}

impl Pairs {
    /// Compares all pictures with each other by Euclidean distance. `pictures`: the identity and
    /// the embedding of each.
    pub fn of(pictures: &[(usize, Vec<f32>)]) -> Self {
        let mut pairs = Self::default();
        let (mut right, mut asked) = (0_usize, 0_usize);
        for (n, (identity, embedding)) in pictures.iter().enumerate() {
            let mut nearest: Option<(f32, bool)> = None;
            let mut has_other = false;
            for (m, (other, theirs)) in pictures.iter().enumerate().filter(|(m, _)| *m != n) {
                let is_same = identity == other;
                let distance = embedding.iter().zip(theirs).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
                has_other |= is_same;
                if nearest.is_none_or(|(least, _)| distance < least) {
                    nearest = Some((distance, is_same));
                }
                if m > n {
                    if is_same { &mut pairs.same } else { &mut pairs.different }.push(distance);
                }
            }
            asked += usize::from(has_other);
            right += usize::from(has_other && nearest.is_some_and(|(_, is_same)| is_same));
        }
        pairs.same.sort_by(f32::total_cmp);
        pairs.different.sort_by(f32::total_cmp);
        pairs.rank1 = (asked > 0).then(|| right as f64 / asked as f64);
        pairs
    }

    /// Area under the ROC curve, 0..=1; `None` without pairs of both kinds.
    pub fn auc(&self) -> Option<f64> {
        // The rank sum of Mann and Whitney; equal distances count half.
        let nearer = |distance: &f32| {
            let below = self.different.partition_point(|d| d < distance);
            let up_to = self.different.partition_point(|d| d <= distance);
            self.different.len() as f64 - (below + up_to) as f64 / 2.0
        };
        let all = self.same.len() as f64 * self.different.len() as f64;
        (all > 0.0).then(|| self.same.iter().map(nearer).sum::<f64>() / all)
    }

    /// Share of the pairs of different identities nearer than a distance.
    pub fn far(&self, distance: f32) -> f64 {
        share_below(&self.different, distance)
    }

    /// Share of the pairs of one identity nearer than a distance.
    pub fn tar(&self, distance: f32) -> f64 {
        share_below(&self.same, distance)
    }

    /// The greatest distance with at most this FAR.
    pub fn distance_at_far(&self, far: f64) -> Option<f32> {
        self.different.get((self.different.len() as f64 * far) as usize).copied()
    }

    /// The distance with the greatest mean of TAR and true rejections.
    pub fn best_distance(&self) -> Option<f32> {
        let balance = |d: f32| self.tar(d) - self.far(d);
        self.different.iter().copied().max_by(|a, b| balance(*a).total_cmp(&balance(*b)).then(b.total_cmp(a)))
    }
}

fn share_below(sorted: &[f32], distance: f32) -> f64 {
    sorted.partition_point(|d| *d < distance) as f64 / sorted.len().max(1) as f64
}

/// Purity and completeness of clusters, 0..=1. `clusters`: the identities of the pictures in each.
pub fn agreement(clusters: &[Vec<usize>]) -> (f64, f64) {
    let mut counts = BTreeMap::<(usize, usize), usize>::new();
    for (cluster, identities) in clusters.iter().enumerate() {
        identities.iter().for_each(|identity| *counts.entry((cluster, *identity)).or_default() += 1);
    }
    let (mut of_cluster, mut of_identity) = (BTreeMap::<usize, usize>::new(), BTreeMap::<usize, usize>::new());
    for ((cluster, identity), count) in &counts {
        for (most, key) in [(&mut of_cluster, cluster), (&mut of_identity, identity)] {
            let most = most.entry(*key).or_default();
            *most = (*most).max(*count);
        }
    }
    let pictures = counts.values().sum::<usize>().max(1) as f64;
    let share = |most: BTreeMap<usize, usize>| most.values().sum::<usize>() as f64 / pictures;
    (share(of_cluster), share(of_identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_line(pictures: &[(usize, f32)]) -> Pairs {
        Pairs::of(&pictures.iter().map(|(identity, x)| (*identity, vec![*x])).collect::<Vec<_>>())
    }

    #[test]
    fn separate_identities_are_distinguished_without_error() {
        let pairs = on_a_line(&[(0, 0.0), (0, 0.25), (1, 2.0), (1, 2.5)]);
        assert_eq!(
            (pairs.same.as_slice(), pairs.different.as_slice()),
            (&[0.25, 0.5][..], &[1.75, 2.0, 2.25, 2.5][..])
        );
        assert_eq!((pairs.auc(), pairs.rank1, pairs.best_distance()), (Some(1.0), Some(1.0), Some(1.75)));
        assert_eq!((pairs.tar(0.5), pairs.far(2.25)), (0.5, 0.5));
        assert_eq!((pairs.distance_at_far(0.0), pairs.distance_at_far(0.5)), (Some(1.75), Some(2.25)));
    }

    #[test]
    fn interleaved_identities_are_not_distinguished() {
        // 0 and 1 alternate: a neighbour is never of the same identity.
        let pairs = on_a_line(&[(0, 0.0), (1, 1.0), (0, 2.0), (1, 3.0)]);
        assert_eq!((pairs.rank1, pairs.auc()), (Some(0.0), Some(0.25)));
        let alone = on_a_line(&[(0, 0.0), (1, 1.0)]);
        assert_eq!((alone.rank1, alone.auc()), (None, None));
    }

    #[test]
    fn purity_and_completeness_count_pictures() {
        assert_eq!(agreement(&[vec![1, 1, 2], vec![2], vec![3]]), (4.0 / 5.0, 4.0 / 5.0));
        assert_eq!(agreement(&[vec![1, 1, 2, 2]]), (0.5, 1.0));
        assert_eq!(agreement(&[vec![1], vec![1]]), (1.0, 0.5));
    }
}
