//! The sparse operations in burn's autodiff graph.

use super::{Encoded, SparseOps, Support};
use burn::backend::{
    Autodiff,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use sae_core::Rule;
use std::sync::Arc;

impl<B: SparseOps, C: CheckpointStrategy> SparseOps for Autodiff<B, C> {
    fn sparse_encode(
        x: FloatTensor<Self>,
        b_pre: FloatTensor<Self>,
        w_enc: FloatTensor<Self>,
        b_enc: FloatTensor<Self>,
        rule: Arc<Rule>,
    ) -> Encoded<Self> {
        let nodes = [b_pre.node(), w_enc.node(), b_enc.node()];
        let prepared = EncodeBackward.prepare::<C>(nodes).compute_bound().stateful();
        let forward = |b_pre: FloatTensor<Self>, w_enc: FloatTensor<Self>, b_enc: FloatTensor<Self>| {
            let (x, b_pre) = (x.into_primitive(), b_pre.into_primitive());
            B::sparse_encode(x, b_pre, w_enc.into_primitive(), b_enc.into_primitive(), rule)
        };
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let w_enc_node = prepared.checkpoint(&w_enc);
                let Encoded { values, support } = forward(b_pre, w_enc, b_enc);
                let state = (w_enc_node, support.clone());
                Encoded { values: prepared.finish(state, values), support }
            }
            OpsKind::UnTracked(prepared) => {
                let Encoded { values, support } = forward(b_pre, w_enc, b_enc);
                Encoded { values: prepared.finish(values), support }
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

    fn squared_error(x: FloatTensor<Self>, out: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = SquaredErrorBackward.prepare::<C>([out.node()]).compute_bound().stateful();
        let x = x.into_primitive();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let saved = (x.clone(), prepared.checkpoint(&out));
                prepared.finish(saved, B::squared_error(x, out.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::squared_error(x, out.into_primitive())),
        }
    }
}

#[derive(Debug)]
struct EncodeBackward;

impl<B: SparseOps> Backward<B, 3> for EncodeBackward {
    /// `W_enc`, support
    type State = (NodeId, Arc<Support>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (w_enc, support) = ops.state;
        let w_enc: FloatTensor<B> = checkpointer.retrieve_node_output(w_enc);
        let (b_pre, w_enc, b_enc) = B::sparse_encode_backward(grad, w_enc, support);
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
        let (values, w_dec, b_dec) = B::sparse_decode_backward(grad, values, w_dec, support);
        for (parent, grad) in ops.parents.into_iter().zip([values, w_dec, b_dec]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct SquaredErrorBackward;

impl<B: SparseOps> Backward<B, 1> for SquaredErrorBackward {
    /// `x`, `x̂`
    type State = (FloatTensor<B>, NodeId);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, out) = ops.state;
        let out: FloatTensor<B> = checkpointer.retrieve_node_output(out);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::squared_error_backward(grad, x, out));
        }
    }
}
