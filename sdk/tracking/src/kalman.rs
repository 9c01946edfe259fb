//! Box prediction: a Kalman filter of constant velocity.
//!
//! As in SORT (Bewley et al. 2016) and DeepSORT (Wojke et al. 2017) the observation is the box's
//! centre, its aspect ratio (width by height) and its height; the state is each of them and its
//! velocity. The four are independent in this model (in motion and in noise), so that the
//! covariance of all eight is block diagonal with four blocks of two by two, and the filter is four
//! small filters side by side. That is exact, and needs neither matrices nor square roots.
//!
//! Time is in seconds: the noise is that of continuous time (white acceleration, Bar-Shalom et al.
//! 2001, "Estimation with Applications to Tracking and Navigation", 6.2), so that a prediction over
//! a gap is the same in one step or in many, at any frame rate. The papers' constants are per
//! frame, for recordings with 25 to 30 frames per second.

use crate::Rect;

/// Gate: the 0.95 quantile of the chi-squared distribution with four degrees of freedom. A box of
/// the track is nearer than this in 19 of 20 cases.
pub const GATE: f64 = 9.4877;

/// Frame rate of the recordings for which the papers' constants were chosen.
const RATE: f64 = 25.0;
/// Standard deviation of an observation, in sizes. Noise scales with the size (the longer side,
/// which is the height of the papers' persons), since a near object moves faster in the picture and
/// is located less exactly. A twentieth, as in the papers.
const OBSERVED: f64 = 1.0 / 20.0;
/// Process noise per frame of position and velocity, in sizes and sizes per frame. The papers' 1/20
/// and 1/160 let an estimate follow the jitter of the detector, which a lower frame rate does not
/// average out. On every second frame of TUD-Stadtmitte they separate persons less well; results
/// are similar from 1/40 to 1/160 and from 1/240 to 1/640 (plugins/deep-sort/README.md).
const POSITION: f64 = 1.0 / 80.0;
const VELOCITY: f64 = 1.0 / 320.0;
/// Noise of the aspect ratio, which does not scale with the size. Motion hardly changes it; a
/// detector measures it roughly.
const ASPECT_PROCESS: f64 = 1e-2;
const ASPECT_VELOCITY: f64 = 1e-5;
const ASPECT_OBSERVED: f64 = 1e-1;
/// Initial uncertainty: twice that of an observation, and a velocity of up to a sixteenth of its
/// size per frame, as in the papers.
const FIRST_POSITION: f64 = 2.0;
const FIRST_VELOCITY: f64 = 1.0 / 16.0;

/// The estimate of one box.
#[derive(Clone, Debug, PartialEq)]
pub struct Kalman {
    /// Centre x, centre y, aspect, height.
    axes: [Axis; 4],
    /// The longer side as last observed, so that the noise of a long prediction does not follow an
    /// extrapolated one.
    size: f64,
}

/// One quantity, its velocity per second, and the covariance of both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Axis {
    value: f64,
    velocity: f64,
    /// Variance of the value, covariance of both, variance of the velocity.
    pp: f64,
    pv: f64,
    vv: f64,
}

/// Standard deviations of one axis: process noise per frame of the value and of the velocity (per
/// frame), and that of an observation.
#[derive(Clone, Copy)]
struct Noise {
    value: f64,
    velocity: f64,
    observed: f64,
}

impl Noise {
    /// Process noise per second, as variances of the value and of the velocity.
    fn of_a_second(self) -> (f64, f64) {
        let velocity = self.velocity * RATE;
        (self.value * self.value * RATE, velocity * velocity * RATE)
    }

    /// Initial variances of the value and of the velocity per second.
    fn at_first(self) -> (f64, f64) {
        (FIRST_POSITION * self.observed, FIRST_VELOCITY / VELOCITY * self.velocity * RATE)
    }
}

fn noises(size: f64) -> [Noise; 4] {
    let length = Noise { value: POSITION * size, velocity: VELOCITY * size, observed: OBSERVED * size };
    let aspect = Noise { value: ASPECT_PROCESS, velocity: ASPECT_VELOCITY, observed: ASPECT_OBSERVED };
    [length, length, aspect, length]
}

/// Centre x, centre y, aspect ratio and height. A box without height gets one far below a pixel,
/// since it has no aspect ratio.
fn observe(rect: &Rect) -> [f64; 4] {
    let [left, top, right, bottom] = [rect.left, rect.top, rect.right, rect.bottom].map(f64::from);
    let height = if bottom - top > 1e-3 { bottom - top } else { 1e-3 };
    [(left + right) / 2.0, (top + bottom) / 2.0, (right - left) / height, height]
}

fn longer_side(rect: &Rect) -> f64 {
    let (width, height) = (f64::from(rect.width()), f64::from(rect.height()));
    let longer = if width > height { width } else { height };
    if longer > 1e-3 { longer } else { 1e-3 }
}

impl Kalman {
    /// Count of the numbers in [`Kalman::parts`].
    pub const PARTS: usize = 21;

    /// Starts with a first box, at zero velocity.
    pub fn new(rect: &Rect) -> Self {
        let size = longer_side(rect);
        let mut axes = [Axis::default(); 4];
        for ((axis, value), noise) in axes.iter_mut().zip(observe(rect)).zip(noises(size)) {
            let (position, velocity) = noise.at_first();
            *axis = Axis { value, velocity: 0.0, pp: position * position, pv: 0.0, vv: velocity * velocity };
        }
        Self { axes, size }
    }

    /// Predicts by this many seconds, 0 or more; in one step the same as in many.
    pub fn predict(&mut self, seconds: f64) {
        let t = if seconds > 0.0 { seconds } else { 0.0 };
        for (axis, noise) in self.axes.iter_mut().zip(noises(self.size)) {
            let (q, w) = noise.of_a_second();
            axis.value += t * axis.velocity;
            axis.pp += t * (2.0 * axis.pv + t * axis.vv + q + t * t * w / 3.0);
            axis.pv += t * (axis.vv + t * w / 2.0);
            axis.vv += t * w;
        }
    }

    /// Corrects the estimate by an observed box.
    pub fn update(&mut self, rect: &Rect) {
        for ((axis, value), noise) in self.axes.iter_mut().zip(observe(rect)).zip(noises(self.size)) {
            let r = noise.observed * noise.observed;
            let s = axis.pp + r;
            let innovation = value - axis.value;
            axis.value += axis.pp / s * innovation;
            axis.velocity += axis.pv / s * innovation;
            // Written without differences of nearly equal numbers: variances stay above 0 after
            // long gaps.
            let determinant = axis.pp * axis.vv - axis.pv * axis.pv;
            axis.vv = ((if determinant > 0.0 { determinant } else { 0.0 }) + axis.vv * r) / s;
            axis.pp *= r / s;
            axis.pv *= r / s;
        }
        self.size = longer_side(rect);
    }

    /// Squared Mahalanobis distance of a box from the predicted one; to be compared with [`GATE`].
    pub fn distance(&self, rect: &Rect) -> f64 {
        let of_axis = |((axis, value), noise): ((&Axis, f64), Noise)| {
            let innovation = value - axis.value;
            innovation * innovation / (axis.pp + noise.observed * noise.observed)
        };
        self.axes.iter().zip(observe(rect)).zip(noises(self.size)).map(of_axis).sum()
    }

    /// The predicted box. Empty where the extrapolation has shrunk it to nothing.
    pub fn rect(&self) -> Rect {
        let [x, y, aspect, height] = self.axes.map(|axis| axis.value);
        let (half_width, half_height) = (aspect * height / 2.0, height / 2.0);
        if !(half_width > 0.0 && half_height > 0.0) {
            return Rect::default();
        }
        let [left, top, right, bottom] =
            [x - half_width, y - half_height, x + half_width, y + half_height].map(|v| v as f32);
        Rect { left, top, right, bottom }
    }

    /// The complete state as numbers, for a snapshot.
    pub fn parts(&self) -> [f64; Self::PARTS] {
        let mut parts = [self.size; Self::PARTS];
        for (slots, axis) in parts.chunks_exact_mut(5).zip(self.axes) {
            slots.copy_from_slice(&[axis.value, axis.velocity, axis.pp, axis.pv, axis.vv]);
        }
        parts
    }

    /// Restores a state from [`Kalman::parts`]; `None` for numbers that are no valid state.
    pub fn from_parts(parts: &[f64; Self::PARTS]) -> Option<Self> {
        let [.., size] = *parts;
        let mut axes = [Axis::default(); 4];
        for (axis, slots) in axes.iter_mut().zip(parts.as_chunks().0) {
            let [value, velocity, pp, pv, vv] = *slots;
            *axis = Axis { value, velocity, pp, pv, vv };
        }
        let sound = |axis: &Axis| axis.pp > 0.0 && axis.vv > 0.0;
        (parts.iter().all(|p| p.is_finite()) && size > 0.0 && axes.iter().all(sound)).then_some(Self { axes, size })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Matrix<const R: usize, const C: usize> = [[f64; C]; R];

    fn product<const A: usize, const B: usize, const C: usize>(a: &Matrix<A, B>, b: &Matrix<B, C>) -> Matrix<A, C> {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..B).map(|k| a[i][k] * b[k][j]).sum()))
    }

    fn transposed<const A: usize, const B: usize>(a: &Matrix<A, B>) -> Matrix<B, A> {
        std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
    }

    /// Gauss-Jordan elimination.
    fn inverse<const N: usize>(mut a: Matrix<N, N>) -> Matrix<N, N> {
        let mut b: Matrix<N, N> = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
        for i in 0..N {
            let pivot = (i..N).max_by(|x, y| a[*x][i].abs().total_cmp(&a[*y][i].abs())).unwrap();
            a.swap(i, pivot);
            b.swap(i, pivot);
            let by = a[i][i];
            (a[i], b[i]) = (a[i].map(|v| v / by), b[i].map(|v| v / by));
            for k in (0..N).filter(|k| *k != i) {
                let (times, from, also) = (a[k][i], a[i], b[i]);
                a[k].iter_mut().zip(from).for_each(|(v, f)| *v -= times * f);
                b[k].iter_mut().zip(also).for_each(|(v, f)| *v -= times * f);
            }
        }
        b
    }

    /// Reference implementation as in the papers: eight states in one vector, with full matrices.
    struct Textbook {
        mean: Matrix<8, 1>,
        covariance: Matrix<8, 8>,
        size: f64,
    }

    impl Textbook {
        fn new(rect: &Rect) -> Self {
            let z = observe(rect);
            let size = longer_side(rect);
            let noise = noises(size);
            let deviation = |i: usize| if i < 4 { noise[i].at_first().0 } else { noise[i - 4].at_first().1 };
            Self {
                mean: std::array::from_fn(|i| [if i < 4 { z[i] } else { 0.0 }]),
                covariance: std::array::from_fn(|i| {
                    std::array::from_fn(|j| if i == j { deviation(i).powi(2) } else { 0.0 })
                }),
                size,
            }
        }

        fn predict(&mut self, t: f64) {
            let noise = noises(self.size);
            let f: Matrix<8, 8> = std::array::from_fn(|i| {
                std::array::from_fn(|j| f64::from(u8::from(i == j)) + t * f64::from(u8::from(i + 4 == j)))
            });
            self.mean = product(&f, &self.mean);
            self.covariance = product(&product(&f, &self.covariance), &transposed(&f));
            for (i, noise) in noise.into_iter().enumerate() {
                let (q, w) = noise.of_a_second();
                self.covariance[i][i] += q * t + w * t.powi(3) / 3.0;
                self.covariance[i][i + 4] += w * t * t / 2.0;
                self.covariance[i + 4][i] += w * t * t / 2.0;
                self.covariance[i + 4][i + 4] += w * t;
            }
        }

        fn innovation(&self, rect: &Rect) -> (Matrix<4, 8>, Matrix<4, 1>, Matrix<4, 4>) {
            let (z, noise) = (observe(rect), noises(self.size));
            let h: Matrix<4, 8> = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
            let mut s = product(&product(&h, &self.covariance), &transposed(&h));
            (0..4).for_each(|i| s[i][i] += noise[i].observed.powi(2));
            (h, std::array::from_fn(|i| [z[i] - self.mean[i][0]]), s)
        }

        fn update(&mut self, rect: &Rect) {
            let (h, y, s) = self.innovation(rect);
            let gain = product(&product(&self.covariance, &transposed(&h)), &inverse(s));
            let step = product(&gain, &y);
            (0..8).for_each(|i| self.mean[i][0] += step[i][0]);
            let taken = product(&product(&gain, &h), &self.covariance);
            (0..8).for_each(|i| (0..8).for_each(|j| self.covariance[i][j] -= taken[i][j]));
            self.size = longer_side(rect);
        }

        fn distance(&self, rect: &Rect) -> f64 {
            let (_, y, s) = self.innovation(rect);
            product(&product(&transposed(&y), &inverse(s)), &y)[0][0]
        }
    }

    fn boxed(x: f32, y: f32, width: f32, height: f32) -> Rect {
        Rect { left: x, top: y, right: x + width, bottom: y + height }
    }

    fn rects() -> impl Strategy<Value = Rect> {
        (-500f32..2000.0, -500f32..2000.0, 5f32..500.0, 5f32..500.0).prop_map(|(x, y, w, h)| boxed(x, y, w, h))
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn a_steady_motion_is_predicted_after_a_few_frames() {
        let mut filter = Kalman::new(&boxed(0.0, 0.0, 40.0, 80.0));
        for i in 1..40 {
            filter.predict(0.04);
            filter.update(&boxed(i as f32 * 6.0, i as f32 * -2.0, 40.0, 80.0));
        }
        filter.predict(0.4);
        let (expected, truth) = (filter.rect(), boxed(49.0 * 6.0, 49.0 * -2.0, 40.0, 80.0));
        assert!(expected.iou(&truth) > 0.95, "{expected:?}");
    }

    #[test]
    fn the_gate_widens_without_observations_and_narrows_with_them() {
        let start = boxed(0.0, 0.0, 40.0, 80.0);
        let mut filter = Kalman::new(&start);
        let aside = boxed(60.0, 0.0, 40.0, 80.0);
        for _ in 0..20 {
            filter.predict(0.04);
            filter.update(&start);
        }
        filter.predict(0.04);
        assert!(filter.distance(&start) < 0.1 && filter.distance(&aside) > GATE);
        filter.predict(2.0);
        assert!(filter.distance(&aside) < GATE);
        filter.update(&start);
        filter.predict(0.04);
        assert!(filter.distance(&aside) > GATE);
    }

    #[test]
    fn a_box_that_shrinks_to_nothing_overlaps_nothing() {
        let mut filter = Kalman::new(&boxed(0.0, 0.0, 40.0, 80.0));
        for i in 1..20 {
            filter.predict(0.04);
            filter.update(&boxed(0.0, 0.0, 40.0, 80.0 - 3.0 * i as f32));
        }
        filter.predict(4.0);
        assert_eq!(filter.rect(), Rect::default());
    }

    #[test]
    fn invalid_states_are_refused() {
        let sound = Kalman::new(&boxed(0.0, 0.0, 40.0, 80.0)).parts();
        for (at, value) in [(0, f64::NAN), (1, f64::INFINITY), (2, 0.0), (4, -1.0), (20, 0.0)] {
            let mut parts = sound;
            parts[at] = value;
            assert_eq!(Kalman::from_parts(&parts), None, "{at} {value}");
        }
    }

    proptest! {
        #[test]
        fn four_small_filters_equal_the_textbook_filter(
            first in rects(),
            steps in proptest::collection::vec((rects(), 0.01f64..2.0, any::<bool>()), 1..20),
            probe in rects(),
        ) {
            let (mut ours, mut textbook) = (Kalman::new(&first), Textbook::new(&first));
            for (rect, seconds, seen) in steps {
                ours.predict(seconds);
                textbook.predict(seconds);
                prop_assert!(near(ours.distance(&probe), textbook.distance(&probe)));
                if seen {
                    ours.update(&rect);
                    textbook.update(&rect);
                }
                for (i, axis) in ours.axes.iter().enumerate() {
                    prop_assert!(near(axis.value, textbook.mean[i][0]) && near(axis.velocity, textbook.mean[i + 4][0]));
                    let c = &textbook.covariance;
                    prop_assert!(near(axis.pp, c[i][i]) && near(axis.pv, c[i][i + 4]));
                    prop_assert!(near(axis.vv, c[i + 4][i + 4]));
                }
            }
        }

        #[test]
        fn one_step_is_the_same_as_many(first in rects(), second in rects(), steps in proptest::collection::vec(0f64..2.0, 1..10)) {
            let mut one = Kalman::new(&first);
            one.predict(0.04);
            one.update(&second);
            let mut many = one.clone();
            one.predict(steps.iter().sum());
            steps.iter().for_each(|t| many.predict(*t));
            prop_assert!(one.parts().into_iter().zip(many.parts()).all(|(a, b)| near(a, b)));
        }

        #[test]
        fn gaps_of_any_length_leave_a_valid_filter(
            first in rects(),
            gaps in proptest::collection::vec((rects(), 0f64..1e9), 1..20),
        ) {
            let mut filter = Kalman::new(&first);
            for (rect, gap) in gaps {
                filter.predict(gap);
                prop_assert!(filter.distance(&rect).is_finite());
                filter.update(&rect);
                prop_assert_eq!(Kalman::from_parts(&filter.parts()), Some(filter.clone()));
            }
        }
    }
}
