//! Joins pictures along an axis: views with gaps, too, without a copy of each first.

use burn::{backend::Flex, tensor::Tensor};

use super::{Buffers, Fault, Numbers, tensor};

pub(in crate::graph::kernel) fn join(parts: Vec<Tensor<4>>, axis: usize, buffers: &Buffers) -> Result<Tensor<4>, Fault> {
    let first = parts.first().ok_or_else(|| Fault::new("nothing to join"))?;
    let (device, mut dims) = (first.device(), first.dims());
    let along = |dims: [usize; 4]| dims.get(axis).copied().unwrap_or_default();
    let size = parts.iter().map(|part| along(part.dims())).sum();
    *dims.get_mut(axis).ok_or_else(|| Fault::new(format!("axis {axis} of a picture's four")))? = size;
    let alike = |part: &Tensor<4>| part.dims().iter().zip(dims).enumerate().all(|(index, (&have, want))| index == axis || have == want);
    if !parts.iter().all(alike) {
        return Err(Fault::new("pictures of different size"));
    }
    let inner: usize = dims.iter().skip(axis + 1).product();
    let mut out = buffers.take(dims.iter().product());
    let mut done = 0;
    for part in parts {
        // Numbers that lie together in the result.
        let (dims, together) = (part.dims(), along(part.dims()) * inner);
        let part = part.try_into_primitive::<Flex>().map_err(|e| Fault::new(format!("{e:?}")))?;
        let forwards = part.layout().strides().iter().all(|&stride| stride >= 0);
        let part = if forwards { part } else { part.to_contiguous() };
        let strides = std::array::from_fn(|i| part.layout().strides().get(i).map_or(0, |stride| stride.unsigned_abs()));
        let mut rows = Rows { numbers: part.storage(), dims, strides, offset: part.layout().start_offset(), next: 0 };
        for block in out.chunks_exact_mut((size * inner).max(1)) {
            let block = block.get_mut(done..done + together).unwrap_or_default();
            block.chunks_exact_mut(dims[3].max(1)).for_each(|row| rows.next(row));
        }
        done += together;
        Numbers(part).give_to(buffers);
    }
    Ok(tensor(out, dims, &device))
}

/// The rows of a view, one after the other.
struct Rows<'a> {
    numbers: &'a [f32],
    dims: [usize; 4],
    strides: [usize; 4],
    offset: usize,
    next: usize,
}

impl Rows<'_> {
    fn next(&mut self, to: &mut [f32]) {
        let ([_, channels, height, _], [batch, channel, down, right]) = (self.dims, self.strides);
        let (picture, plane, row) = (self.next / height / channels, self.next / height % channels, self.next % height);
        self.next += 1;
        let from = self.numbers.get(self.offset + picture * batch + plane * channel + row * down..).unwrap_or_default();
        match right {
            1 => {
                if let Some(from) = from.get(..to.len()) {
                    to.copy_from_slice(from);
                }
            }
            // Said twice, so that the compiler knows the stride and makes vectors of it.
            2 => {
                let (pairs, last) = from.as_chunks::<2>();
                let firsts = pairs.iter().map(|[first, _]| first);
                to.iter_mut().zip(firsts.chain(last)).for_each(|(to, from)| *to = *from);
            }
            0 => to.fill(from.first().copied().unwrap_or_default()),
            _ => to.iter_mut().zip(from.iter().step_by(right)).for_each(|(to, from)| *to = *from),
        }
    }
}
