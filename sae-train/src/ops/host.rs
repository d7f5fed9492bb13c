//! Tensors as slices in main memory, whatever their backend.

use burn::backend::{Backend, TensorMetadata, flex::FlexTensor, tensor::FloatTensor};
use burn::tensor::TensorData;
use std::{any::Any, ops::Deref};

/// The values of a tensor in main memory: borrowed from it where it lives there, else a copy.
#[derive(Debug)]
pub(super) enum OnHost {
    Flex(FlexTensor),
    Copied(Vec<f32>),
}

impl OnHost {
    pub(super) fn new<B: Backend>(tensor: FloatTensor<B>) -> Self {
        // FloatTensor<B> is FlexTensor exactly when B is Flex: the compiler cannot know, `Any` does.
        match (Box::new(tensor) as Box<dyn Any>).downcast::<FlexTensor>() {
            Ok(tensor) => Self::Flex(if tensor.is_contiguous() { *tensor } else { tensor.to_contiguous() }),
            Err(other) => {
                let tensor = *other.downcast::<FloatTensor<B>>().expect("it was one a moment ago");
                Self::Copied(to_vec::<B>(tensor))
            }
        }
    }
}

impl Deref for OnHost {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Flex(tensor) => tensor.as_slice().expect("a contiguous tensor of f32"),
            Self::Copied(values) => values,
        }
    }
}

/// A tensor on the device from values in main memory.
pub(super) fn upload<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &burn::backend::tensor::Device<B>,
) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(values, shape), device)
}

/// Changes a tensor's values: in place where it lives in main memory and nothing else refers to it.
pub(super) fn update<B: Backend>(tensor: FloatTensor<B>, change: impl FnOnce(&mut [f32])) -> FloatTensor<B> {
    let (shape, device) = (tensor.shape(), tensor.device());
    match (Box::new(tensor) as Box<dyn Any>).downcast::<FlexTensor>() {
        Ok(mut tensor) => {
            if !tensor.is_contiguous() {
                *tensor = tensor.to_contiguous();
            }
            change(tensor.storage_mut());
            let same: Box<dyn Any> = tensor;
            *same.downcast().expect("the tensor of Flex is FlexTensor")
        }
        Err(other) => {
            let tensor = *other.downcast::<FloatTensor<B>>().expect("it was one a moment ago");
            let mut values = to_vec::<B>(tensor);
            change(&mut values);
            B::float_from_data(TensorData::new(values, shape), &device)
        }
    }
}

fn to_vec<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data = burn::tensor::read_sync(B::float_into_data(tensor)).expect("the device answers");
    data.try_into_vec().expect("a tensor of f32")
}
