//! Assignment: maximum-weight matching in a sparse bipartite graph.
//!
//! In practice the possible pairs form small groups (a face overlaps one track, rarely two), so the
//! graph is split into connected components first. Each is then solved by successive shortest
//! augmenting paths with potentials (Kuhn 1955, Munkres 1957; in the form of Jonker and Volgenant
//! 1987), in cubic time of the component.

use alloc::{vec, vec::Vec};

/// A row and a column that may match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// From 0, below the number of rows; in trackers a detection.
    pub row: usize,
    /// From 0, below the number of columns; in trackers a track.
    pub column: usize,
    /// Weight of the match, above 0.
    pub weight: f32,
}

/// For each of `rows` rows the matched column: no column is matched twice, and the sum of the
/// weights is maximal. Ties are broken deterministically by the order of pairs.
///
/// Pairs outside of `rows` and `columns`, and weights that are not finite or not above 0, are
/// ignored.
pub fn assign(rows: usize, columns: usize, pairs: &[Pair]) -> Vec<Option<usize>> {
    let mut matched = vec![None; rows];
    let sound = |p: &&Pair| p.row < rows && p.column < columns && p.weight > 0.0 && p.weight.is_finite();

    let mut groups = Groups::new(rows + columns);
    for pair in pairs.iter().filter(sound) {
        groups.join(pair.row, rows + pair.column);
    }
    let mut by_group: Vec<(usize, Pair)> = pairs.iter().filter(sound).map(|p| (groups.root(p.row), *p)).collect();
    by_group.sort_by_key(|(group, _)| *group);
    for component in by_group.chunk_by(|a, b| a.0 == b.0) {
        if let [(_, only)] = component {
            if let Some(slot) = matched.get_mut(only.row) {
                *slot = Some(only.column);
            }
            continue;
        }
        for (row, column) in solve(component) {
            if let Some(slot) = matched.get_mut(row) {
                *slot = Some(column);
            }
        }
    }
    matched
}

/// Union-find with path halving.
struct Groups(Vec<usize>);

impl Groups {
    fn new(len: usize) -> Self {
        Self((0..len).collect())
    }

    fn parent(&self, of: usize) -> usize {
        self.0.get(of).copied().unwrap_or(of)
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.parent(of) != of {
            let above = self.parent(self.parent(of));
            if let Some(slot) = self.0.get_mut(of) {
                *slot = above;
            }
            of = above;
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller number stays the root, so that groups are in the order of their first row.
        if let Some(slot) = self.0.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "every index is below the length that the vectors are made with, a few lines above"
)]
fn solve(component: &[(usize, Pair)]) -> Vec<(usize, usize)> {
    let mut rows: Vec<usize> = component.iter().map(|(_, p)| p.row).collect();
    let mut columns: Vec<usize> = component.iter().map(|(_, p)| p.column).collect();
    for names in [&mut rows, &mut columns] {
        names.sort_unstable();
        names.dedup();
    }
    // A private column of weight 0 for each row stands for "no match", so that a full assignment
    // always exists.
    let (n, real) = (rows.len(), columns.len());
    let m = real + n;
    let mut cost = vec![0f64; n * m];
    for (_, pair) in component {
        let (Ok(row), Ok(column)) = (rows.binary_search(&pair.row), columns.binary_search(&pair.column)) else {
            continue;
        };
        let cell = &mut cost[row * m + column];
        *cell = cell.min(-f64::from(pair.weight));
    }

    // Row and column 0 are sentinels: row 0 of `owner` is the row that is being placed.
    let mut row_potential = vec![0f64; n + 1];
    let mut column_potential = vec![0f64; m + 1];
    let mut owner = vec![0usize; m + 1];
    let mut came_from = vec![0usize; m + 1];
    for row in 1..=n {
        owner[0] = row;
        let mut column = 0;
        let mut slack = vec![f64::INFINITY; m + 1];
        let mut visited = vec![false; m + 1];
        while owner[column] != 0 {
            visited[column] = true;
            let at = owner[column];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for c in 1..=m {
                if visited[c] {
                    continue;
                }
                let reduced = cost[(at - 1) * m + c - 1] - row_potential[at] - column_potential[c];
                if reduced < slack[c] {
                    slack[c] = reduced;
                    came_from[c] = column;
                }
                if slack[c] < step {
                    step = slack[c];
                    next = c;
                }
            }
            for c in 0..=m {
                if visited[c] {
                    row_potential[owner[c]] += step;
                    column_potential[c] -= step;
                } else {
                    slack[c] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            let before = came_from[column];
            owner[column] = owner[before];
            column = before;
        }
    }

    let placed = (1..=real).filter_map(|c| Some((owner[c].checked_sub(1)?, c - 1)));
    // A real column of weight 0 is a pair that may not match.
    placed.filter(|(r, c)| cost[r * m + c] < 0.0).map(|(r, c)| (rows[r], columns[c])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(row: usize, column: usize, weight: f32) -> Pair {
        Pair { row, column, weight }
    }

    #[test]
    fn the_best_sum_wins_over_the_best_pair() {
        // Greedy would take 0-0 for .9 and leave row 1 alone.
        let pairs = [pair(0, 0, 0.9), pair(0, 1, 0.8), pair(1, 0, 0.7)];
        assert_eq!(assign(2, 2, &pairs), [Some(1), Some(0)]);
    }

    #[test]
    fn rows_without_a_pair_stay_alone() {
        assert_eq!(assign(3, 1, &[pair(1, 0, 0.5)]), [None, Some(0), None]);
        assert_eq!(assign(0, 0, &[]), [] as [Option<usize>; 0]);
    }

    #[test]
    fn invalid_pairs_are_ignored() {
        let pairs = [
            pair(0, 0, 0.0),
            pair(0, 0, -1.0),
            pair(0, 0, f32::NAN),
            pair(0, 0, f32::INFINITY),
            pair(7, 0, 1.0),
            pair(0, 7, 1.0),
        ];
        assert_eq!(assign(1, 1, &pairs), [None]);
    }

    fn best_by_trying_all(rows: usize, pairs: &[Pair]) -> f32 {
        fn from(row: usize, rows: usize, taken: u32, pairs: &[Pair]) -> f32 {
            if row == rows {
                return 0.0;
            }
            let alone = from(row + 1, rows, taken, pairs);
            let with = pairs
                .iter()
                .filter(|p| p.row == row && taken & (1 << p.column) == 0)
                .map(|p| p.weight + from(row + 1, rows, taken | 1 << p.column, pairs));
            with.fold(alone, f32::max)
        }
        from(0, rows, 0, pairs)
    }

    proptest! {
        #[test]
        fn the_sum_of_weights_is_maximal(weights in proptest::collection::vec((0usize..5, 0usize..5, 0.01f32..1.0), 0..16)) {
            let mut pairs: Vec<Pair> = Vec::new();
            for (row, column, weight) in weights {
                if !pairs.iter().any(|p| (p.row, p.column) == (row, column)) {
                    pairs.push(pair(row, column, weight));
                }
            }
            let matched = assign(5, 5, &pairs);
            let mut taken: Vec<usize> = matched.iter().flatten().copied().collect();
            taken.sort_unstable();
            let all = taken.len();
            taken.dedup();
            prop_assert_eq!(taken.len(), all, "a column was taken twice");
            let mut sum = 0.0;
            for (row, column) in matched.iter().enumerate().filter_map(|(r, c)| Some((r, (*c)?))) {
                let chosen = pairs.iter().find(|p| (p.row, p.column) == (row, column));
                prop_assert!(chosen.is_some(), "matched what may not match");
                sum += chosen.unwrap().weight;
            }
            prop_assert!((sum - best_by_trying_all(5, &pairs)).abs() < 1e-4);
        }
    }
}
