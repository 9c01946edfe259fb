//! Distances of embeddings: numbers that networks give to pictures of objects.

/// Squared Euclidean distance of two embeddings of one length; of different lengths, of the numbers
/// that both have.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
