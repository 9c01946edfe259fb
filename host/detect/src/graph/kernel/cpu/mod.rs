//! SIMD kernels for the CPU, faster than burn-flex: convolutions with the activation and the sum
//! that follow them, and max-pooling.
//!
//! `geometry` has the positions of windows and `lines` the layout that they read; `dense` lays
//! pixels out for `gemm`, the inner loop of a dense convolution; `by_channel` has depthwise
//! convolutions and max-pooling; `vector` the machine's vectors and the activations. The kernels
//! read and write the tensors' own memory. Cases that they do not cover are left to burn.

mod by_channel;
mod dense;
mod gemm;
mod geometry;
mod lines;
mod vector;

use burn::{
    backend::{BackendTypes, Flex},
    tensor::{Device, Tensor, TensorData},
};
use macerator::{Simd, WithSimd};
use onnx_ir::node::conv2d::Conv2dNode;

use gemm::{Epilogue, Weights};
use geometry::Geometry;
pub(crate) use vector::Activation;

use super::{arithmetic, window::Window};
use crate::graph::{buffers::Buffers, error::OperatorError, value::Value};

/// A tensor's values, row-major and contiguous. Copied only where the tensor is a strided view.
struct Contiguous(<Flex as BackendTypes>::FloatTensorPrimitive);

impl Contiguous {
    fn new<const D: usize>(tensor: Tensor<D>) -> Result<Self, OperatorError> {
        let primitive = tensor.try_into_primitive::<Flex>().map_err(|e| OperatorError::new(format!("{e:?}")))?;
        Ok(Self(primitive.to_contiguous()))
    }

    fn get(&self) -> Result<&[f32], OperatorError> {
        self.0.as_slice::<f32>().ok_or_else(|| OperatorError::expected("floats", &format!("{:?}", self.0)))
    }

    /// Gives the memory to later steps, unless the tensor is used elsewhere.
    fn give_to(self, buffers: &Buffers) {
        // Memory of another alignment would be copied into the vector.
        if self.0.is_unique()
            && self.0.data_arc().align() == align_of::<f32>()
            && let Ok(memory) = self.0.into_data().try_into_vec::<f32>()
        {
            buffers.give(memory);
        }
    }
}

fn tensor(memory: Vec<f32>, dims: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(memory, dims), device)
}

/// A convolution with packed weights.
pub(crate) struct Convolution {
    form: Form,
    window: Window,
    bias: Vec<f32>,
    /// Input and output.
    channels: [usize; 2],
}

enum Form {
    Dense(Weights),
    /// One window for each channel, in the order channel, row, column.
    Depthwise(Vec<f32>),
}

impl Convolution {
    /// `None` where there is no kernel for it here, or the network computes its weights.
    pub(crate) fn new(node: &Conv2dNode) -> Option<Self> {
        let config = &node.config;
        let [_, weight, rest @ ..] = node.inputs.as_slice() else { return None };
        let floats = |data: TensorData| data.try_to_vec_as::<f32>().ok();
        let bias = match rest.first() {
            Some(bias) if !bias.is_optional() => floats(bias.value()?)?,
            _ => Vec::new(),
        };
        let window = Window {
            kernel: config.kernel_size,
            stride: config.stride,
            dilation: config.dilation,
            padding: config.padding.clone(),
            auto_pad: config.auto_pad.clone(),
        };
        Self::packed(weight.value()?, bias, config.groups, window)
    }

    /// `weight` is `[output channels, input channels of a group, rows, columns]`.
    fn packed(weight: TensorData, bias: Vec<f32>, groups: usize, window: Window) -> Option<Self> {
        let [out, per_group, rows, columns] = *weight.shape().as_slice() else { return None };
        let supported = window.dilation == [1, 1] && !window.stride.contains(&0) && window.kernel == [rows, columns];
        if !supported || [out, per_group, rows, columns].contains(&0) || ![0, out].contains(&bias.len()) {
            return None;
        }
        let weights = weight.try_to_vec_as::<f32>().ok()?;
        let form = if groups == 1 {
            Form::Dense(Weights::new(out, per_group * rows * columns, &weights))
        } else if per_group == 1 && out == groups && by_channel::supports([rows, columns]) {
            Form::Depthwise(weights)
        } else {
            return None;
        };
        Some(Self { form, window, bias, channels: [per_group * groups, out] })
    }

    /// `activation(x * weights + bias) + residual`.
    pub(crate) fn run(
        &self,
        x: Tensor<4>,
        activation: Activation,
        residual: Option<Value>,
        buffers: &Buffers,
    ) -> Result<Value, OperatorError> {
        let [wanted, channels] = self.channels;
        let (device, [batch, given, height, width]) = (x.device(), x.dims());
        if given != wanted {
            return Err(OperatorError::new(format!("{given} channels, where the weights are for {wanted}")));
        }
        let geometry =
            Geometry::new([height, width], self.window.kernel, self.window.stride, self.window.padding(height, width));
        let geometry =
            geometry.ok_or_else(|| OperatorError::new(format!("no window fits {height} rows and {width} columns")))?;
        let dims = [batch, channels, geometry.rows, geometry.columns];
        // A residual that broadcasts is added afterwards.
        let (residual, other) = match residual {
            Some(Value::R4(residual)) if residual.dims() == dims => (Some(Contiguous::new(residual)?), None),
            other => (None, other),
        };
        let x = Contiguous::new(x)?;
        let (picture, result) = (wanted * geometry.plane(), channels * geometry.windows());
        let mut out = buffers.take(batch * result);
        let mut residuals =
            residual.as_ref().map(Contiguous::get).transpose()?.map(|values| values.chunks_exact(result));
        for (x, out) in x.get()?.chunks_exact(picture).zip(out.chunks_exact_mut(result)) {
            let epilogue =
                Epilogue { bias: &self.bias, activation, residual: residuals.as_mut().and_then(Iterator::next) };
            match &self.form {
                Form::Dense(weights) => dense::convolve(x, &geometry, weights, epilogue, buffers, out),
                Form::Depthwise(weights) => by_channel::convolve(x, &geometry, weights, epilogue, buffers, out),
            }
        }
        x.give_to(buffers);
        if let Some(residual) = residual {
            residual.give_to(buffers);
        }
        let out = Value::R4(tensor(out, dims, &device));
        match other {
            Some(other) => arithmetic::add(out, other),
            None => Ok(out),
        }
    }
}

/// Max-pooling with windows that are not dilated; `Err` returns the tensor where no window fits.
pub(super) fn max_pool(
    x: Tensor<4>,
    window: &Window,
    buffers: &Buffers,
) -> Result<Result<Tensor<4>, Tensor<4>>, OperatorError> {
    let (device, [batch, channels, height, width]) = (x.device(), x.dims());
    let Some(geometry) = Geometry::new([height, width], window.kernel, window.stride, window.padding(height, width))
    else {
        return Ok(Err(x));
    };
    let x = Contiguous::new(x)?;
    let mut out = buffers.take(batch * channels * geometry.windows());
    by_channel::max_pool(x.get()?, &geometry, buffers, &mut out);
    x.give_to(buffers);
    Ok(Ok(tensor(out, [batch, channels, geometry.rows, geometry.columns], &device)))
}

/// Applies an activation in place.
pub(super) fn activate(activation: Activation, values: &mut [f32]) {
    vector::run(Activate(activation, values));
}

struct Activate<'a>(Activation, &'a mut [f32]);

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        for values in self.1.chunks_mut(S::lanes32()) {
            let x = vector::load_some::<S>(values);
            vector::store_some::<S>(values, self.0.of::<S>(x));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{
        activation, module,
        ops::{ConvOptions, MaxPoolOptions},
    };
    use onnx_ir::node::padding::{AutoPad, PaddingConfig2d};
    use proptest::prelude::*;

    use super::*;

    /// A window and the picture that it slides over; pairs are rows, columns.
    #[derive(Clone, Debug)]
    struct Case {
        batch: usize,
        channels: [usize; 2],
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        /// Above, left, below, right.
        padding: [usize; 4],
        seed: u32,
    }

    impl Case {
        fn window(&self) -> Window {
            let [above, left, below, right] = self.padding;
            let padding = PaddingConfig2d::Explicit(above, left, below, right);
            Window { kernel: self.kernel, stride: self.stride, dilation: [1, 1], padding, auto_pad: AutoPad::NotSet }
        }

        fn pairs(&self) -> [(usize, usize); 2] {
            let [above, left, below, right] = self.padding;
            [(above, below), (left, right)]
        }

        fn noise<const D: usize>(&self, salt: u32, dims: [usize; D]) -> TensorData {
            let mut state = self.seed ^ salt;
            let values = (0..dims.iter().product()).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            });
            TensorData::new(values.collect(), dims)
        }

        fn x(&self) -> Tensor<4> {
            let [height, width] = self.size;
            Tensor::from_data(self.noise(1, [self.batch, self.channels[0], height, width]), &Device::flex())
        }
    }

    prop_compose! {
        fn cases(sizes: &'static [usize], most_channels: usize)(
            batch in 1..3usize,
            channels in [1..most_channels, 1..most_channels],
            size in [1..70usize, 1..70usize],
            kernel in [prop::sample::select(sizes), prop::sample::select(sizes)],
            stride in [1..4usize, 1..4usize],
            padding in [0..4usize, 0..4usize, 0..4usize, 0..4usize],
            seed: u32,
        ) -> Case {
            let [above, left, below, right] = padding;
            // At most half a window of padding, and at least one window.
            let [rows, columns] = kernel.map(|side| side / 2);
            let padding = [above.min(rows), left.min(columns), below.min(rows), right.min(columns)];
            let size = [size[0].max(kernel[0]), size[1].max(kernel[1])];
            Case { batch, channels, size, kernel, stride, padding, seed }
        }
    }

    fn activations() -> impl Strategy<Value = Activation> {
        prop::sample::select(vec![Activation::None, Activation::Relu, Activation::Sigmoid, Activation::Silu])
    }

    /// Runs `work` on `threads` threads; on one, with the vectors of older machines, too.
    fn on<R: Send>(threads: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let machines = if threads == 1 { vector::tests::older() } else { vec![None] };
        let on = |machine| {
            pool.install(|| {
                vector::tests::NARROWER.set(machine);
                work()
            })
        };
        machines.into_iter().map(on).collect()
    }

    fn differ(actual: Value, expected: &Tensor<4>) -> f32 {
        let actual = actual.rank4().unwrap();
        assert_eq!(actual.dims(), expected.dims());
        let off = (actual - expected.clone()).abs().max().into_scalar::<f32>();
        assert!(off.is_finite());
        off
    }

    /// Compares a convolution with burn's, with each activation and residual that may follow.
    fn check(
        case: &Case,
        groups: usize,
        activation: Activation,
        residual: Option<bool>,
        with_bias: bool,
        threads: usize,
    ) {
        let device = Device::flex();
        let [channels, out] = case.channels;
        let weight = case.noise(2, [out, channels / groups, case.kernel[0], case.kernel[1]]);
        let bias = case.noise(3, [out]);
        let options = ConvOptions::new_with_padding(case.stride, case.pairs(), [1, 1], groups);
        let expected = module::conv2d(
            case.x(),
            Tensor::from_data(weight.clone(), &device),
            with_bias.then(|| Tensor::from_data(bias.clone(), &device)),
            options,
        );
        let expected = match activation {
            Activation::None => expected,
            Activation::Relu => activation::relu(expected),
            Activation::Sigmoid => activation::sigmoid(expected),
            Activation::Silu => activation::silu(expected),
        };
        // As large as the output, or one value for each channel.
        let added = residual.map(|whole| {
            let dims = if whole { expected.dims() } else { [1, out, 1, 1] };
            Tensor::<4>::from_data(case.noise(4, dims), &device)
        });
        let expected = if let Some(added) = &added { expected + added.clone() } else { expected };
        let bias = if with_bias { bias.try_into_vec::<f32>().unwrap() } else { Vec::new() };
        let actual = Convolution::packed(weight, bias, groups, case.window()).unwrap();
        let buffers = Buffers::default();
        // Reused memory has old values in it.
        buffers.give(vec![f32::NAN; expected.dims().iter().product::<usize>() + 1000]);
        for result in on(threads, || actual.run(case.x(), activation, added.clone().map(Value::R4), &buffers).unwrap())
        {
            let off = differ(result, &expected);
            assert!(off < 1e-5, "off by {off}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn dense_convolutions_agree_with_burn(
            case in cases(&[1, 2, 3, 5], 20), activation in activations(), residual: Option<bool>,
            with_bias: bool, threads in 1..4usize,
        ) {
            check(&case, 1, activation, residual, with_bias, threads);
        }

        #[test]
        fn pointwise_convolutions_agree_with_burn(
            mut case in cases(&[1], 80), activation in activations(), residual: Option<bool>,
            with_bias: bool, threads in 1..4usize,
        ) {
            case.stride = [1, 1];
            check(&case, 1, activation, residual, with_bias, threads);
        }

        #[test]
        fn depthwise_convolutions_agree_with_burn(
            mut case in cases(&[3, 5, 7], 20), activation in activations(), residual: Option<bool>,
            with_bias: bool, threads in 1..4usize,
        ) {
            case.kernel[1] = case.kernel[0];
            case.size[1] = case.size[1].max(case.kernel[1]);
            case.channels = [case.channels[0] + 1; 2];
            let groups = case.channels[0];
            check(&case, groups, activation, residual, with_bias, threads);
        }

        #[test]
        fn max_pooling_agrees_with_burn(case in cases(&[1, 2, 3, 5, 9, 13], 6), threads in 1..3usize) {
            let options = MaxPoolOptions::new(case.kernel).with_stride(case.stride).with_padding_pairs(case.pairs());
            let expected = module::max_pool2d(case.x(), options);
            let buffers = Buffers::default();
            for pooled in on(threads, || max_pool(case.x(), &case.window(), &buffers).unwrap().unwrap()) {
                prop_assert_eq!(differ(Value::R4(pooled), &expected), 0.0);
            }
        }
    }

    #[test]
    fn unsupported_convolutions_are_refused() {
        let case =
            Case { batch: 1, channels: [3, 4], size: [4, 4], kernel: [5, 5], stride: [1, 1], padding: [0; 4], seed: 1 };
        let packed = |groups, per_group, window| {
            Convolution::packed(case.noise(2, [4, per_group, 5, 5]), Vec::new(), groups, window)
        };
        let actual = packed(1, 3, case.window()).unwrap();
        let run = |x| actual.run(x, Activation::None, None, &Buffers::default()).err().unwrap().0;
        assert!(run(case.x()).starts_with("no window fits"));
        assert!(run(Tensor::zeros([1, 2, 8, 8], &Device::flex())).starts_with("2 channels"));
        // Groups of several channels and dilated windows are left to burn.
        assert!(packed(2, 2, case.window()).is_none());
        assert!(packed(1, 3, Window { dilation: [2, 1], ..case.window() }).is_none());
    }
}
