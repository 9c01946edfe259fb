//! Assignment of rows to columns with the largest sum of weights.

/// For each row its column, or `None`; each column is taken once. `weights[row][column]` is at
/// least 0; a pair of weight 0 is no pair.
///
/// The Hungarian method (Kuhn, 1955) by shortest augmenting paths, in O(rows^2 * columns) after the
/// smaller side was made the rows.
pub(super) fn heaviest(weights: &[Vec<f64>]) -> Vec<Option<usize>> {
    let (rows, columns) = (weights.len(), weights.iter().map(Vec::len).max().unwrap_or_default());
    let weight = |row: usize, column: usize| weights.get(row).and_then(|r| r.get(column)).copied().unwrap_or_default();
    let mut pairs = vec![None; rows];
    let found: Vec<(usize, usize)> = if rows <= columns {
        cheapest(rows, columns, &|row, column| -weight(row, column))
    } else {
        let swapped = cheapest(columns, rows, &|row, column| -weight(column, row));
        swapped.into_iter().map(|(column, row)| (row, column)).collect()
    };
    for (row, column) in found.into_iter().filter(|(row, column)| weight(*row, *column) > 0.0) {
        if let Some(pair) = pairs.get_mut(row) {
            *pair = Some(column);
        }
    }
    pairs
}

/// Pairs of all rows with different columns, of the least total cost; `rows <= columns`.
#[expect(clippy::indexing_slicing, reason = "all indices are below the lengths of the vectors made here")]
fn cheapest(rows: usize, columns: usize, cost: &dyn Fn(usize, usize) -> f64) -> Vec<(usize, usize)> {
    // Row and column 0 stand for "none"; potentials keep reduced costs from being negative.
    let (mut of_rows, mut of_columns) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    let (mut row_of, mut previous) = (vec![0; columns + 1], vec![0; columns + 1]);
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let (mut least, mut visited) = (vec![f64::INFINITY; columns + 1], vec![false; columns + 1]);
        while row_of[column] != 0 {
            visited[column] = true;
            let (from, mut delta, mut next) = (row_of[column], f64::INFINITY, 0);
            for to in (1..=columns).filter(|to| !visited[*to]) {
                let reduced = cost(from - 1, to - 1) - of_rows[from] - of_columns[to];
                if reduced < least[to] {
                    (least[to], previous[to]) = (reduced, column);
                }
                if least[to] < delta {
                    (delta, next) = (least[to], to);
                }
            }
            for to in 0..=columns {
                if visited[to] {
                    of_rows[row_of[to]] += delta;
                    of_columns[to] -= delta;
                } else {
                    least[to] -= delta;
                }
            }
            column = next;
        }
        // Along the path back, each column takes the row of the column before it.
        while column != 0 {
            row_of[column] = row_of[previous[column]];
            column = previous[column];
        }
    }
    (1..=columns).filter(|column| row_of[*column] != 0).map(|column| (row_of[column] - 1, column - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_and_not_the_best_pair() {
        assert_eq!(heaviest(&[vec![0.9, 0.8], vec![0.8, 0.1]]), [Some(1), Some(0)]);
        assert_eq!(heaviest(&[vec![0.0, 0.0], vec![0.8, 0.1]]), [None, Some(0)]);
        assert_eq!(heaviest(&[vec![0.2], vec![0.8], vec![0.3]]), [None, Some(0), None]);
        assert_eq!(heaviest(&[]), []);
        assert_eq!(heaviest(&[vec![], vec![]]), [None, None]);
    }

    #[test]
    fn no_other_assignment_is_heavier() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (rows, columns) = (random.usize(1..5), random.usize(1..5));
            let weights: Vec<Vec<f64>> = (0..rows).map(|_| (0..columns).map(|_| random.f64()).collect()).collect();
            let sum: f64 = heaviest(&weights).iter().zip(&weights).filter_map(|(c, w)| Some(w[(*c)?])).sum();
            assert!((sum - exhaustive(&weights, &mut vec![false; columns])).abs() < 1e-9, "{weights:?}");
        }
    }

    fn exhaustive(weights: &[Vec<f64>], taken: &mut Vec<bool>) -> f64 {
        let Some((first, rest)) = weights.split_first() else { return 0.0 };
        let mut best = exhaustive(rest, taken);
        for (column, weight) in first.iter().enumerate() {
            if !taken[column] {
                taken[column] = true;
                best = best.max(weight + exhaustive(rest, taken));
                taken[column] = false;
            }
        }
        best
    }
}
