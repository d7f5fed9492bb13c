//! The sparse operations in burn's autodiff graph.

use super::{
    codes::Support,
    sparse::{Encoded, Reconstructed, SparseOps},
};
use burn::backend::{
    Autodiff, TensorMetadata,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use sae_core::kernels::{Choice, Reconstruction};
use std::sync::Arc;

impl<B: SparseOps, C: CheckpointStrategy> SparseOps for Autodiff<B, C> {
    fn sparse_encode(
        x: FloatTensor<Self>,
        b_pre: FloatTensor<Self>,
        w_enc: FloatTensor<Self>,
        b_enc: FloatTensor<Self>,
        choice: Arc<Choice>,
    ) -> Encoded<Self> {
        let nodes = [b_pre.node(), w_enc.node(), b_enc.node()];
        let prepared = EncodeBackward.prepare::<C>(nodes).compute_bound().stateful();
        let forward = |b_pre: FloatTensor<Self>, w_enc: FloatTensor<Self>, b_enc: FloatTensor<Self>| {
            let (x, b_pre) = (x.into_primitive(), b_pre.into_primitive());
            B::sparse_encode(x, b_pre, w_enc.into_primitive(), b_enc.into_primitive(), choice)
        };
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let w_enc_node = prepared.checkpoint(&w_enc);
                let Encoded { values, support, centred } = forward(b_pre, w_enc, b_enc);
                let state = (w_enc_node, support.clone(), centred.clone());
                Encoded { values: prepared.finish(state, values), support, centred }
            }
            OpsKind::UnTracked(prepared) => {
                let Encoded { values, support, centred } = forward(b_pre, w_enc, b_enc);
                Encoded { values: prepared.finish(values), support, centred }
            }
        }
    }

    fn sparse_decode(
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> FloatTensor<Self> {
        let nodes = [values.node(), w_dec.node(), b_dec.node()];
        let prepared = DecodeBackward.prepare::<C>(nodes).compute_bound().stateful();
        let forward = |values: FloatTensor<Self>, w_dec: FloatTensor<Self>, support| {
            B::sparse_decode(values.into_primitive(), w_dec.into_primitive(), b_dec.into_primitive(), support)
        };
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let saved = (prepared.checkpoint(&values), prepared.checkpoint(&w_dec), support.clone());
                prepared.finish(saved, forward(values, w_dec, support))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(forward(values, w_dec, support)),
        }
    }

    fn sparse_reconstruct(
        x: FloatTensor<Self>,
        values: FloatTensor<Self>,
        w_dec: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        support: Arc<Support>,
    ) -> Reconstructed<Self> {
        let nodes = [x.node(), values.node(), w_dec.node(), b_dec.node()];
        let prepared = ReconstructBackward.prepare::<C>(nodes).compute_bound().stateful();
        let forward = |values: FloatTensor<Self>, support| {
            let (x, values) = (x.into_primitive(), values.into_primitive());
            B::sparse_reconstruct(x, values, w_dec.into_primitive(), b_dec.into_primitive(), support)
        };
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let values_node = prepared.checkpoint(&values);
                let Reconstructed { errors, reconstruction } = forward(values, support.clone());
                let state = (values_node, support, reconstruction.clone());
                Reconstructed { errors: prepared.finish(state, errors), reconstruction }
            }
            OpsKind::UnTracked(prepared) => {
                let Reconstructed { errors, reconstruction } = forward(values, support);
                Reconstructed { errors: prepared.finish(errors), reconstruction }
            }
        }
    }

    fn row_errors(x: FloatTensor<Self>, out: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = RowErrorsBackward.prepare::<C>([out.node()]).compute_bound().stateful();
        let x = x.into_primitive();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let saved = (x.clone(), prepared.checkpoint(&out));
                prepared.finish(saved, B::row_errors(x, out.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::row_errors(x, out.into_primitive())),
        }
    }

    fn row_norms(w: FloatTensor<Self>) -> FloatTensor<Self> {
        match RowNormsBackward.prepare::<C>([w.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = prepared.checkpoint(&w);
                prepared.finish(saved, B::row_norms(w.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::row_norms(w.into_primitive())),
        }
    }

    fn at_entries(of_latents: FloatTensor<Self>, support: Arc<Support>) -> FloatTensor<Self> {
        let forward = |support| B::at_entries(of_latents.primitive().clone(), support);
        match AtEntriesBackward.prepare::<C>([of_latents.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(support.clone(), forward(support)),
            OpsKind::UnTracked(prepared) => prepared.finish(forward(support)),
        }
    }

    fn pick(values: FloatTensor<Self>, positions: Arc<Vec<u32>>) -> FloatTensor<Self> {
        let n = values.primitive().shape()[0];
        let forward = |positions| B::pick(values.primitive().clone(), positions);
        match PickBackward.prepare::<C>([values.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((positions.clone(), n), forward(positions)),
            OpsKind::UnTracked(prepared) => prepared.finish(forward(positions)),
        }
    }

    fn cumulate(
        parts: FloatTensor<Self>,
        b_dec: FloatTensor<Self>,
        levels: usize,
        detached: bool,
    ) -> FloatTensor<Self> {
        let prepared = CumulateBackward.prepare::<C>([parts.node(), b_dec.node()]).compute_bound().stateful();
        let out = B::cumulate(parts.into_primitive(), b_dec.into_primitive(), levels, detached);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((levels, detached), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}

#[derive(Debug)]
struct EncodeBackward;

impl<B: SparseOps> Backward<B, 3> for EncodeBackward {
    /// `W_enc`, support, `x − b_pre`
    type State = (NodeId, Arc<Support>, Arc<Vec<f32>>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (w_enc, support, centred) = ops.state;
        let w_enc: FloatTensor<B> = checkpointer.retrieve_node_output(w_enc);
        let (b_pre, w_enc, b_enc) = B::sparse_encode_backward(grad, w_enc, support, centred);
        for (parent, grad) in ops.parents.into_iter().zip([b_pre, w_enc, b_enc]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct DecodeBackward;

impl<B: SparseOps> Backward<B, 3> for DecodeBackward {
    /// values, `W_dec`, support
    type State = (NodeId, NodeId, Arc<Support>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (values, w_dec, support) = ops.state;
        let values: FloatTensor<B> = checkpointer.retrieve_node_output(values);
        let w_dec: FloatTensor<B> = checkpointer.retrieve_node_output(w_dec);
        // Each costs a pass over the codes: only those that somebody wants are taken.
        let [of_values, of_w_dec, of_b_dec] = ops.parents;
        if let Some(parent) = of_values {
            let grad = B::sparse_decode_grad_values(grad.clone(), w_dec, support.clone());
            grads.register::<B>(parent.id, grad);
        }
        if let Some(parent) = of_w_dec {
            let grad = B::sparse_decode_grad_weights(grad.clone(), values, support);
            grads.register::<B>(parent.id, grad);
        }
        if let Some(parent) = of_b_dec {
            grads.register::<B>(parent.id, B::sum_of_rows(grad));
        }
    }
}

#[derive(Debug)]
struct ReconstructBackward;

impl<B: SparseOps> Backward<B, 4> for ReconstructBackward {
    /// values, support, what was found
    type State = (NodeId, Arc<Support>, Arc<Reconstruction>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (values, support, found) = ops.state;
        let values: FloatTensor<B> = checkpointer.retrieve_node_output(values);
        let [of_x, of_values, of_w_dec, of_b_dec] = ops.parents;
        if let Some(parent) = of_x {
            grads.register::<B>(parent.id, B::reconstruct_grad_x(grad.clone(), found.clone()));
        }
        if let Some(parent) = of_values {
            let of_values = B::reconstruct_grad_values(grad.clone(), support.clone(), found.clone());
            grads.register::<B>(parent.id, of_values);
        }
        if let Some(parent) = of_w_dec {
            let of_w_dec = B::reconstruct_grad_w_dec(grad.clone(), values, support, found.clone());
            grads.register::<B>(parent.id, of_w_dec);
        }
        if let Some(parent) = of_b_dec {
            grads.register::<B>(parent.id, B::reconstruct_grad_b_dec(grad, found));
        }
    }
}

#[derive(Debug)]
struct RowErrorsBackward;

impl<B: SparseOps> Backward<B, 1> for RowErrorsBackward {
    /// `x`, `x̂`
    type State = (FloatTensor<B>, NodeId);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, out) = ops.state;
        let out: FloatTensor<B> = checkpointer.retrieve_node_output(out);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::row_errors_backward(grad, x, out));
        }
    }
}

#[derive(Debug)]
struct RowNormsBackward;

impl<B: SparseOps> Backward<B, 1> for RowNormsBackward {
    /// The matrix
    type State = NodeId;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let w: FloatTensor<B> = checkpointer.retrieve_node_output(ops.state);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::row_norms_backward(grad, w));
        }
    }
}

#[derive(Debug)]
struct AtEntriesBackward;

impl<B: SparseOps> Backward<B, 1> for AtEntriesBackward {
    type State = Arc<Support>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::at_entries_backward(grad, ops.state));
        }
    }
}

#[derive(Debug)]
struct PickBackward;

impl<B: SparseOps> Backward<B, 1> for PickBackward {
    /// positions, number of values
    type State = (Arc<Vec<u32>>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (positions, n) = ops.state;
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::pick_backward(grad, positions, n));
        }
    }
}

#[derive(Debug)]
struct CumulateBackward;

impl<B: SparseOps> Backward<B, 2> for CumulateBackward {
    /// levels, whether the levels below each are detached
    type State = (usize, bool);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (levels, detached) = ops.state;
        let (parts, b_dec) = B::cumulate_backward(grad, levels, detached);
        for (parent, grad) in ops.parents.into_iter().zip([parts, b_dec]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}
