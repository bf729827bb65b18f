//! A transformer layer, forward and backward.
//!
//! It must not know its neighbours. Invariant: as of `nn::layer`; of the last layer only first tokens are computed.

use ecommerce_ml_tensor_cuda::machine::{Argument, At, Kernel, Launch, Machine, MachineError, Sums};

use super::kernels::{count, mask, whole};
use super::passes::LayerTape;
use super::sent::{Sent, Tiles};
use super::{BF16, DeviceEncoder, Trained};
use crate::nn::dropout::{Dropout, Place};
use crate::nn::plan::{LayerPlan, drops_after_attention};

/// Threads of the attention kernels.
const ATTENTION_THREADS: u32 = 128;

/// A place in some memory, and how many numbers a row is from the next.
type Strided<'a, N> = (At<'a, N>, usize);

/// A layer at work on a batch.
pub(super) struct LayerWork<'a, M: Machine> {
    pub(super) encoder: &'a DeviceEncoder<M>,
    pub(super) index: usize,
    pub(super) sent: &'a Sent<M>,
    pub(super) dropout: Option<Dropout>,
}

impl<M: Machine> LayerWork<'_, M> {
    fn plan(&self) -> &LayerPlan {
        &self.encoder.plan.layers[self.index]
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.encoder.config.layers
    }

    /// Rows that are computed.
    fn rows(&self) -> usize {
        if self.is_last() { self.sent.sequences } else { self.sent.tokens }
    }

    fn tiles(&self) -> &Tiles {
        if self.is_last() { &self.sent.firsts } else { &self.sent.all }
    }

    fn mask_after_attention(&self) -> [Argument<'static, M::Memory>; 3] {
        let drops = drops_after_attention(self.encoder.config.family);
        mask(self.dropout.filter(|_| drops), Place::Attention(self.index))
    }

    fn mask_of_output(&self) -> [Argument<'static, M::Memory>; 3] {
        mask(self.dropout, Place::Output(self.index))
    }

    /// Queries, and keys with values behind them, of a tape.
    fn projections<'t>(
        &self,
        own: Option<&'t M::Memory>,
        projected: &'t M::Memory,
    ) -> (Strided<'t, M::Memory>, Strided<'t, M::Memory>) {
        let width = self.encoder.width();
        match own {
            Some(queries) => ((At::start(queries), width), (At::start(projected), 2 * width)),
            None => {
                let keys = At { memory: projected, offset: width * BF16 };
                ((At::start(projected), 3 * width), (keys, 3 * width))
            }
        }
    }

    /// From hidden states of all tokens to those of the rows that are computed.
    pub(super) fn forward(&self, input: &M::Memory) -> Result<LayerTape<M>, MachineError> {
        let (encoder, plan, rows) = (self.encoder, self.plan(), self.rows());
        let (width, tokens, inner_width) =
            (encoder.width(), self.sent.tokens, encoder.config.intermediate_size);
        let (own, projected) = if self.is_last() {
            let picked = encoder.room(rows * width)?;
            let arguments =
                [whole(input), self.sent.number(self.sent.starts), count(width), count(rows), whole(&picked)];
            encoder.over_rows(Kernel::Choose, rows, 0, &arguments)?;
            let (queries, others) = (encoder.room(rows * width)?, encoder.room(tokens * 2 * width)?);
            encoder.dense(&plan.projections.part(0..width), &picked, &queries, rows)?;
            encoder.dense(&plan.projections.part(width..3 * width), input, &others, tokens)?;
            (Some((queries, picked)), others)
        } else {
            let projected = encoder.room(tokens * 3 * width)?;
            encoder.dense(&plan.projections, input, &projected, tokens)?;
            (None, projected)
        };
        let (context, logarithms) =
            (encoder.room(rows * width)?, encoder.exact_room(rows * encoder.config.heads)?);
        self.attend(own.as_ref().map(|own| &own.0), &projected, &context, &logarithms)?;
        let hidden = own.as_ref().map_or(input, |own| &own.1);
        let change = encoder.room(rows * width)?;
        encoder.dense(&plan.attention_output, &context, &change, rows)?;
        let attended =
            encoder.add_norm(&plan.attention_norm, (&change, self.mask_after_attention()), hidden, rows)?;
        let (inner, active) = (encoder.room(rows * inner_width)?, encoder.room(rows * inner_width)?);
        encoder.dense(&plan.intermediate, &attended.output, &inner, rows)?;
        let arguments = [whole(&inner), encoder.activation(), count(rows * inner_width), whole(&active)];
        encoder.over_numbers(Kernel::Activate, rows * inner_width, 8, &arguments)?;
        encoder.dense(&plan.output, &active, &change, rows)?;
        let output =
            encoder.add_norm(&plan.output_norm, (&change, self.mask_of_output()), &attended.output, rows)?;
        Ok(LayerTape { own, projected, logarithms, context, attended, inner, active, output })
    }

    /// From the gradient of the output, which is used up, to that of the input, if anything before the layer is trained.
    pub(super) fn backward(
        &self,
        tape: &LayerTape<M>,
        input: &M::Memory,
        gradient: M::Memory,
    ) -> Result<Option<M::Memory>, MachineError> {
        let (encoder, plan, rows) = (self.encoder, self.plan(), self.rows());
        let (width, tokens) = (encoder.width(), self.sent.tokens);
        self.feed_forward_backward(tape, &gradient)?;
        let d_attended = encoder.room(rows * width)?;
        encoder.leave_out(&gradient, rows, self.mask_after_attention(), &d_attended)?;
        encoder.dense_back(&plan.attention_output, At::start(&d_attended), &tape.context, rows)?;
        let d_context = encoder.room(rows * width)?;
        let d_output = At::start(&d_attended);
        encoder.dense_input(&plan.attention_output, d_output, &d_context, rows, Sums::Replace)?;
        let d_queries = self.is_last().then(|| encoder.room(rows * width)).transpose()?;
        let d_projected = encoder.room(tokens * if self.is_last() { 2 } else { 3 } * width)?;
        self.attend_back(tape, &d_context, (d_queries.as_ref(), &d_projected))?;
        let own = tape.own.as_ref().map_or(input, |own| &own.1);
        let (queries, keys) = self.projections(d_queries.as_ref(), &d_projected);
        self.adapters_back((queries, own, rows), ((self.values(keys), keys.1), input, tokens))?;
        let goes_on = match encoder.trained {
            Trained::All => true,
            Trained::Layers(first) | Trained::Adapted(first) => self.index > first,
        };
        let Some(d_queries) = d_queries else {
            let d_projected = At::start(&d_projected);
            encoder.dense_back(&plan.projections, d_projected, input, tokens)?;
            if !goes_on {
                return Ok(None);
            }
            encoder.dense_input(&plan.projections, d_projected, &gradient, tokens, Sums::Add)?;
            return Ok(Some(gradient));
        };
        let (d_queries, d_others) = (At::start(&d_queries), At::start(&d_projected));
        let (queries, others) = (plan.projections.part(0..width), plan.projections.part(width..3 * width));
        encoder.dense_back(&queries, d_queries, own, rows)?;
        encoder.dense_back(&others, d_others, input, tokens)?;
        if !goes_on {
            return Ok(None);
        }
        encoder.dense_input(&queries, d_queries, &gradient, rows, Sums::Add)?;
        let d_input = encoder.room(tokens * width)?;
        encoder.dense_input(&others, d_others, &d_input, tokens, Sums::Replace)?;
        let starts = self.sent.number(self.sent.starts);
        let arguments = [whole(&gradient), starts, count(width), count(rows), whole(&d_input)];
        encoder.over_rows(Kernel::AddChosen, rows, 0, &arguments)?;
        Ok(Some(d_input))
    }

    /// From the gradient of the output to that of the sums before attention's layer norm, in its place.
    fn feed_forward_backward(&self, tape: &LayerTape<M>, gradient: &M::Memory) -> Result<(), MachineError> {
        let (encoder, plan, rows) = (self.encoder, self.plan(), self.rows());
        let inner_width = encoder.config.intermediate_size;
        encoder.norm_back(&plan.output_norm, gradient, &tape.output, rows)?;
        let d_output = encoder.room(rows * encoder.width())?;
        encoder.leave_out(gradient, rows, self.mask_of_output(), &d_output)?;
        encoder.dense_back(&plan.output, At::start(&d_output), &tape.active, rows)?;
        let d_inner = encoder.room(rows * inner_width)?;
        encoder.dense_input(&plan.output, At::start(&d_output), &d_inner, rows, Sums::Replace)?;
        let arguments =
            [whole(&d_inner), whole(&tape.inner), encoder.activation(), count(rows * inner_width)];
        encoder.over_numbers(Kernel::ActivateBack, rows * inner_width, 8, &arguments)?;
        encoder.dense_back(&plan.intermediate, At::start(&d_inner), &tape.attended.output, rows)?;
        encoder.dense_input(&plan.intermediate, At::start(&d_inner), gradient, rows, Sums::Add)?;
        encoder.norm_back(&plan.attention_norm, gradient, &tape.attended, rows)
    }

    /// Adds to the gradients of the weights of queries and values, if these have adapters; each from the gradients of its outputs,
    /// its inputs, and the number of rows of both.
    fn adapters_back(
        &self,
        queries: (Strided<'_, M::Memory>, &M::Memory, usize),
        values: (Strided<'_, M::Memory>, &M::Memory, usize),
    ) -> Result<(), MachineError> {
        let (encoder, width) = (self.encoder, self.encoder.width());
        let Trained::Adapted(first) = encoder.trained else { return Ok(()) };
        let adapted = &encoder.held.adapted[2 * (self.index - first)..];
        for (((gradient, stride), input, rows), sums) in [queries, values].into_iter().zip(adapted) {
            // Products want rows without gaps.
            let copy = encoder.room(rows * width)?;
            let arguments = [Argument::At(gradient), count(stride), count(width), count(rows), whole(&copy)];
            encoder.over_rows(Kernel::Columns, rows, 0, &arguments)?;
            encoder.weight_back((At::start(&copy), width), (input, width), rows, At::start(sums))?;
        }
        Ok(())
    }

    fn attend(
        &self,
        own: Option<&M::Memory>,
        projected: &M::Memory,
        context: &M::Memory,
        logarithms: &M::Memory,
    ) -> Result<(), MachineError> {
        let (encoder, tiles) = (self.encoder, self.tiles());
        let (queries, keys) = self.projections(own, projected);
        let [key, share, scale] = mask(self.dropout, Place::Probabilities(self.index));
        let arguments = [
            Argument::At(queries.0),
            count(queries.1),
            Argument::At(keys.0),
            Argument::At(self.values(keys)),
            count(keys.1),
            self.sent.number(tiles.forward),
            Argument::Number(self.scale() * std::f32::consts::LOG2_E),
            whole(context),
            count(encoder.width()),
            whole(logarithms),
            count(encoder.config.heads),
            key,
            share,
            scale,
        ];
        self.launch(encoder.kernels.forward, tiles.query_count, &arguments)
    }

    fn attend_back(
        &self,
        tape: &LayerTape<M>,
        d_context: &M::Memory,
        (d_queries, d_projected): (Option<&M::Memory>, &M::Memory),
    ) -> Result<(), MachineError> {
        let (encoder, tiles, rows) = (self.encoder, self.tiles(), self.rows());
        let (width, heads) = (encoder.width(), encoder.config.heads);
        let products = encoder.exact_room(rows * heads)?;
        let arguments = [
            whole(&tape.context),
            whole(d_context),
            count(heads),
            count(width / heads),
            count(rows),
            whole(&products),
        ];
        encoder.over_numbers(Kernel::HeadProducts, rows * heads, 1, &arguments)?;
        let (queries, keys) = self.projections(tape.own.as_ref().map(|own| &own.0), &tape.projected);
        let (d_queries, d_keys) = self.projections(d_queries, d_projected);
        let with = |tiles: usize| {
            let [key, share, scale] = mask(self.dropout, Place::Probabilities(self.index));
            [
                Argument::At(queries.0),
                count(queries.1),
                Argument::At(keys.0),
                Argument::At(self.values(keys)),
                count(keys.1),
                whole(d_context),
                count(width),
                self.sent.number(tiles),
                whole(&tape.logarithms),
                whole(&products),
                count(heads),
                Argument::Number(self.scale() * std::f32::consts::LOG2_E),
                Argument::Number(self.scale()),
                key,
                share,
                scale,
            ]
        };
        let outputs = [Argument::At(d_queries.0), count(d_queries.1)];
        let arguments: Vec<_> = with(tiles.queries).into_iter().chain(outputs).collect();
        self.launch(encoder.kernels.queries, tiles.query_count, &arguments)?;
        let outputs = [Argument::At(d_keys.0), Argument::At(self.values(d_keys)), count(d_keys.1)];
        let arguments: Vec<_> = with(tiles.keys).into_iter().chain(outputs).collect();
        self.launch(encoder.kernels.keys, tiles.key_count, &arguments)
    }

    /// Values lie behind keys.
    fn values<'t>(&self, (keys, _): Strided<'t, M::Memory>) -> At<'t, M::Memory> {
        At { offset: keys.offset + self.encoder.width() * BF16, ..keys }
    }

    fn scale(&self) -> f32 {
        let config = &self.encoder.config;
        1.0 / ((config.hidden_size / config.heads) as f32).sqrt()
    }

    fn launch(
        &self,
        kernel: Kernel,
        tiles: usize,
        arguments: &[Argument<'_, M::Memory>],
    ) -> Result<(), MachineError> {
        self.encoder.machine.launch(&Launch {
            kernel,
            grid: [tiles as u32, self.encoder.config.heads as u32],
            threads: ATTENTION_THREADS,
            shared_bytes: 0,
            arguments,
        })
    }
}
