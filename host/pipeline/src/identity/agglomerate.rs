//! Agglomerative clustering by average linkage (UPGMA) of squared Euclidean distances, with
//! cannot-link constraints.
//!
//! The distance of two groups is the mean of the squared distances of their points, which is that
//! of their centroids plus the variance of each group: so a group needs no more memory than a
//! point. The two nearest groups are merged repeatedly, until no two are nearer than the threshold.
//!
//! Two groups can only be so near if some of their points are. So pairs to merge are searched among
//! the neighbours of the points: all pairs are compared once, block by block as a product of
//! matrices, and the nearest [`NEIGHBOURS`] of each point are kept. Where a point has more, the
//! resulting groups are compared again, until none can be merged; the order of merges then depends
//! on the neighbours that were kept. Memory is linear, time quadratic.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    thread,
};

use ndarray::{Array2, ArrayView2, s};

/// Groups in a block: the product of two such blocks fits into a core's cache.
const BLOCK: usize = 256;
/// Neighbours of a group that are kept when all are compared, and the most that it may have in a
/// round after taking over those of merged groups.
const NEIGHBOURS: usize = 32;
const MAX_NEIGHBOURS: usize = 64;
/// Bound of the error of a squared distance in single precision, as a share of the squared lengths
/// that it is the difference of; pairs below the threshold are measured again in double.
const ROUNDING: f32 = 1e-5;

/// Point to be grouped: an embedding, and the time that it was present.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The embedding; all points have the same length.
    pub vector: &'a [f32],
    /// Mean squared distance from `vector` of the embeddings that it is the mean of, which the
    /// linkage includes. 0 for a single embedding.
    pub spread: f32,
    /// First and last frame, inclusive. Points whose ranges overlap are never in one group.
    pub during: (u64, u64),
}

#[derive(Clone, Debug)]
struct Group {
    points: Vec<usize>,
    centroid: Vec<f64>,
    /// Variance: the mean of the points' squared distances to the centroid.
    spread: f64,
    /// In order, without overlaps.
    during: Vec<(u64, u64)>,
}

impl Group {
    /// The mean of the squared distances between the points of both, if it is below `reach` and no
    /// two of the points were present at the same time.
    fn squared(&self, other: &Self, reach: f64) -> Option<f64> {
        let squared = self.between(other) + self.spread + other.spread;
        (squared < reach && !self.is_with(other)).then_some(squared)
    }

    fn between(&self, other: &Self) -> f64 {
        let (ours, our_rest) = self.centroid.as_chunks::<8>();
        let (theirs, their_rest) = other.centroid.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for (ours, theirs) in ours.iter().zip(theirs) {
            for (sum, (a, b)) in sums.iter_mut().zip(ours.iter().zip(theirs)) {
                *sum += (a - b) * (a - b);
            }
        }
        sums.iter().sum::<f64>() + our_rest.iter().zip(their_rest).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    }

    /// Whether some of their points were present at the same time.
    fn is_with(&self, other: &Self) -> bool {
        let (few, many) = if self.during.len() < other.during.len() { (self, other) } else { (other, self) };
        few.during.iter().any(|(first, last)| {
            let next = many.during.partition_point(|(_, end)| end < first);
            many.during.get(next).is_some_and(|(begin, _)| begin <= last)
        })
    }

    fn join(self, other: Self) -> Self {
        let (n, m) = (self.points.len() as f64, other.points.len() as f64);
        let (ours, theirs) = (n / (n + m), m / (n + m));
        let between = self.between(&other);
        let mut during = [self.during, other.during].concat();
        during.sort_unstable();
        Self {
            points: [self.points, other.points].concat(),
            centroid: self.centroid.iter().zip(&other.centroid).map(|(a, b)| ours * a + theirs * b).collect(),
            spread: ours * self.spread + theirs * other.spread + ours * theirs * between,
            during,
        }
    }
}

/// Groups of points, as indices into `points` in ascending order, ordered by their first points.
/// `same`: the root of the mean squared distance below which two groups are merged.
pub fn agglomerate(points: &[Point<'_>], same: f32) -> Vec<Vec<usize>> {
    let alone = |(n, point): (usize, &Point<'_>)| Group {
        points: vec![n],
        centroid: point.vector.iter().map(|v| f64::from(*v)).collect(),
        spread: f64::from(point.spread.max(0.0)),
        during: vec![point.during],
    };
    let mut groups: Vec<Group> = points.iter().enumerate().map(alone).collect();
    loop {
        let (before, near) = (groups.len(), near(&groups, same));
        let is_all;
        (groups, is_all) = merge(groups, &near, same);
        // Where all neighbours were compared, none is left to merge.
        if is_all || groups.len() == before {
            break;
        }
    }
    let mut found: Vec<Vec<usize>> = groups.into_iter().map(|g| g.points).collect();
    found.iter_mut().for_each(|points| points.sort_unstable());
    found.sort_unstable();
    found
}

/// The nearest neighbours of one group, by squared distance (as bits, which sort like non-negative
/// numbers) and number.
#[derive(Clone, Default)]
struct Nearest {
    /// The farthest is on top.
    kept: BinaryHeap<(u32, usize)>,
    left_out: bool,
}

impl Nearest {
    fn has_no_room(&self, squared: f32) -> bool {
        self.kept.len() == NEIGHBOURS && self.kept.peek().is_some_and(|(farthest, _)| squared.to_bits() > *farthest)
    }

    fn offer(&mut self, squared: u32, n: usize) {
        self.kept.push((squared, n));
        if self.kept.len() > NEIGHBOURS {
            self.kept.pop();
            self.left_out = true;
        }
    }
}

/// For each group, the neighbours that it may be merged with.
fn near(groups: &[Group], same: f32) -> Vec<Nearest> {
    let numbers = groups.first().map_or(0, |g| g.centroid.len());
    let rows = Array2::from_shape_fn((groups.len(), numbers), |(n, k)| {
        groups.get(n).and_then(|g| g.centroid.get(k)).map_or(0.0, |v| *v as f32)
    });
    // Squared lengths plus variances.
    let lengths: Vec<f32> = rows
        .outer_iter()
        .zip(groups)
        .map(|(row, g)| row.iter().map(|v| v * v).sum::<f32>() + g.spread as f32)
        .collect();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(groups.len().div_ceil(BLOCK)).max(1);
    let of_thread = |n: usize| search(groups, rows.view(), &lengths, (n, threads), same);
    let mut parts = thread::scope(|scope| {
        let of_thread = &of_thread;
        let others: Vec<_> = (1..threads).map(|n| scope.spawn(move || of_thread(n))).collect();
        let mut parts = vec![of_thread(0)];
        parts.extend(others.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        parts
    })
    .into_iter();
    let mut lists = parts.next().unwrap_or_default();
    for part in parts {
        for (list, more) in lists.iter_mut().zip(part) {
            list.left_out |= more.left_out;
            more.kept.into_iter().for_each(|(squared, n)| list.offer(squared, n));
        }
    }
    lists
}

/// One thread's part of all pairs: every `threads`th block of groups from the `thread`th on, each
/// with itself and the blocks after it.
fn search(
    groups: &[Group],
    rows: ArrayView2<'_, f32>,
    lengths: &[f32],
    (thread, threads): (usize, usize),
    same: f32,
) -> Vec<Nearest> {
    let reach = same * same;
    let block = |begin: usize| begin..(begin + BLOCK).min(groups.len());
    let mut found = vec![Nearest::default(); groups.len()];
    for ours in (0..groups.len()).step_by(BLOCK).skip(thread).step_by(threads).map(block) {
        for theirs in (ours.start..groups.len()).step_by(BLOCK).map(block) {
            let products = rows.slice(s![ours.clone(), ..]).dot(&rows.slice(s![theirs.clone(), ..]).t());
            for (n, products) in ours.clone().zip(products.outer_iter()) {
                let (Some(group), Some(length)) = (groups.get(n), lengths.get(n)) else { continue };
                let others = theirs.clone().zip(products).zip(lengths.get(theirs.clone()).unwrap_or_default());
                for ((m, product), other_length) in others {
                    let lengths = length + other_length;
                    let squared = (lengths - 2.0 * product).max(0.0);
                    if squared >= reach + ROUNDING * lengths || m <= n {
                        continue;
                    }
                    let Ok([one, other]) = found.get_disjoint_mut([n, m]) else { continue };
                    let no_room = [one.has_no_room(squared), other.has_no_room(squared)];
                    // Counted as left out even if the two may not be merged: at worst that costs
                    // one more round.
                    one.left_out |= no_room[0];
                    other.left_out |= no_room[1];
                    if no_room == [true, true] || groups.get(m).is_none_or(|other| group.is_with(other)) {
                        continue;
                    }
                    if !no_room[0] {
                        one.offer(squared.to_bits(), m);
                    }
                    if !no_room[1] {
                        other.offer(squared.to_bits(), n);
                    }
                }
            }
        }
    }
    found
}

/// Merges neighbours, the nearest first. Also returns whether all neighbours fitted into the lists.
fn merge(groups: Vec<Group>, near: &[Nearest], same: f32) -> (Vec<Group>, bool) {
    let reach = f64::from(same) * f64::from(same);
    let mut is_all = near.iter().all(|list| !list.left_out);
    let mut near_to: Vec<BTreeSet<usize>> =
        near.iter().map(|list| list.kept.iter().map(|(_, m)| *m).collect()).collect();
    for (n, list) in near.iter().enumerate() {
        for (_, m) in &list.kept {
            if let Some(theirs) = near_to.get_mut(*m) {
                theirs.insert(n);
            }
        }
    }
    let mut groups: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    let squared = |groups: &[Option<Group>], n: usize, m: usize| {
        let (one, other) = (groups.get(n)?.as_ref()?, groups.get(m)?.as_ref()?);
        one.squared(other, reach).map(f64::to_bits)
    };
    let mut pairs = BinaryHeap::new();
    for (n, others) in near_to.iter().enumerate() {
        pairs.extend(others.range(n + 1..).filter_map(|m| Some(Reverse((squared(&groups, n, *m)?, n, *m)))));
    }
    while let Some(Reverse((_, n, m))) = pairs.pop() {
        let is_there = |n: usize| groups.get(n).is_some_and(Option::is_some);
        if !is_there(n) || !is_there(m) {
            continue;
        }
        let mut take = |n: usize| Some((groups.get_mut(n)?.take()?, std::mem::take(near_to.get_mut(n)?)));
        let (Some((one, ours)), Some((other, theirs))) = (take(n), take(m)) else { continue };
        let new = groups.len();
        groups.push(Some(one.join(other)));
        let mut others: Vec<(u64, usize)> = Vec::with_capacity(ours.len() + theirs.len());
        for o in &ours | &theirs {
            if let Some(near_to_it) = near_to.get_mut(o) {
                near_to_it.remove(&n);
                near_to_it.remove(&m);
            }
            others.extend(squared(&groups, o, new).map(|squared| (squared, o)));
        }
        others.sort_unstable();
        is_all &= others.len() <= MAX_NEIGHBOURS;
        others.truncate(MAX_NEIGHBOURS);
        for (squared, o) in &others {
            if let Some(near_to_it) = near_to.get_mut(*o) {
                near_to_it.insert(new);
            }
            pairs.push(Reverse((*squared, *o, new)));
        }
        near_to.push(others.into_iter().map(|(_, o)| o).collect());
    }
    (groups.into_iter().flatten().collect(), is_all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by a library that stores all distances, with constraints as very large distances.
    fn by_all_distances(points: &[Point<'_>], same: f32) -> Vec<Vec<usize>> {
        let apart = |a: &Point<'_>, b: &Point<'_>| a.during.0 <= b.during.1 && b.during.0 <= a.during.1;
        let squared = |a: &Point<'_>, b: &Point<'_>| {
            a.vector.iter().zip(b.vector).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>()
        };
        let mut distances: Vec<f64> = Vec::new();
        for (n, a) in points.iter().enumerate() {
            distances.extend(points[n + 1..].iter().map(|b| if apart(a, b) { 1e12 } else { squared(a, b) }));
        }
        let mut groups: Vec<Vec<usize>> = (0..points.len()).map(|n| vec![n]).collect();
        let dendrogram = kodama::linkage(&mut distances, points.len(), kodama::Method::Average);
        for step in dendrogram.steps() {
            let near = step.dissimilarity < f64::from(same) * f64::from(same);
            let merged = if near {
                [step.cluster1, step.cluster2].map(|c| std::mem::take(&mut groups[c])).concat()
            } else {
                Vec::new()
            };
            groups.push(merged);
        }
        groups.retain(|g| !g.is_empty());
        groups.iter_mut().for_each(|g| g.sort_unstable());
        groups.sort();
        groups
    }

    fn vectors(numbers: usize, most: usize) -> impl Strategy<Value = Vec<(Vec<f32>, (u64, u64))>> {
        let during = (0u64..200, 0u64..20).prop_map(|(first, long)| (first, first + long));
        proptest::collection::vec((proptest::collection::vec(-1.0f32..1.0, numbers), during), 0..most)
    }

    fn points(vectors: &[(Vec<f32>, (u64, u64))]) -> Vec<Point<'_>> {
        vectors.iter().map(|(vector, during)| Point { vector, spread: 0.0, during: *during }).collect()
    }

    proptest! {
        // With no more points than neighbours are kept, the two agree exactly.
        #[test]
        fn it_is_average_linkage(vectors in vectors(3, NEIGHBOURS + 1), same in 0.05f32..1.0) {
            let points = points(&vectors);
            prop_assert_eq!(agglomerate(&points, same), by_all_distances(&points, same));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn nothing_that_could_be_merged_is_left(vectors in vectors(2, 600), same in 0.05f32..1.0) {
            let points = points(&vectors);
            let found = agglomerate(&points, same);
            let mut all = found.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..points.len()).collect::<Vec<_>>());
            let alone = |n: usize| Group {
                points: vec![n],
                centroid: points[n].vector.iter().map(|v| f64::from(*v)).collect(),
                spread: 0.0,
                during: vec![points[n].during],
            };
            let joined = |g: &Vec<usize>| g.iter().map(|n| alone(*n)).reduce(Group::join).unwrap();
            let groups: Vec<Group> = found.iter().map(joined).collect();
            for (n, one) in groups.iter().enumerate() {
                prop_assert!(one.during.windows(2).all(|w| w[0].1 < w[1].0));
                for other in &groups[n + 1..] {
                    prop_assert!(one.squared(other, f64::from(same).powi(2) - 1e-9).is_none());
                }
            }
        }
    }

    /// `n` points of `people` identities, alternating.
    fn crowd(n: usize, people: usize, within: f32) -> Vec<(Vec<f32>, (u64, u64))> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut vector = |around: Option<&Vec<f32>>, by: f32| -> Vec<f32> {
            (0..128).map(|k| around.map_or(0.0, |c| c[k]) + (random.f32() - 0.5) * by).collect()
        };
        // Identities are about .8 apart, as with dlib.
        let centres: Vec<Vec<f32>> = (0..people).map(|_| vector(None, 0.17)).collect();
        (0..n).map(|i| (vector(Some(&centres[i % people]), within), (i as u64 * 2, i as u64 * 2))).collect()
    }

    #[test]
    fn a_crowd_is_separated_into_its_identities() {
        let vectors = crowd(3000, 300, 0.05);
        let found = agglomerate(&points(&vectors), 0.45);
        assert_eq!(found, (0..300).map(|p| (0..10).map(|k| p + k * 300).collect()).collect::<Vec<Vec<_>>>());
    }

    #[test]
    fn one_identity_with_many_tracks_is_one_group() {
        let vectors = crowd(2000, 1, 0.05);
        assert_eq!(agglomerate(&points(&vectors), 0.45).len(), 1);
    }
}
