//! A transformer layer, forward and backward.
//!
//! It must not know its neighbours. Invariant: as of `nn::layer`; of the last layer only first tokens are computed.

use ecommerce_ml_tensor_cuda::backend::{
    Accumulation, DevicePointer, GpuBackend, GpuError, Kernel, KernelArgument, Launch,
};

use super::device_batch::{DeviceBatch, Tiles};
use super::kernels::{count, mask, whole};
use super::passes::{ClsQueries, LayerTape};
use super::{BF16, DeviceEncoder, Trained};
use crate::nn::dropout::{Dropout, DropoutSite};
use crate::nn::layout::{LayerLayout, drops_after_attention};

/// Threads of the attention kernels.
const ATTENTION_THREADS: u32 = 128;

/// A place in some memory, and how many numbers a row is from the next.
type StridedRows<'a, N> = (DevicePointer<'a, N>, usize);

/// What the gradient of a projection's weight is computed from.
struct ProjectionGradient<'a, N> {
    /// Of the projection's outputs, `[rows, hidden]`.
    gradient: StridedRows<'a, N>,
    /// The projection's inputs, `[rows, hidden]`.
    input: &'a N,
    rows: usize,
}

/// A layer, run over a batch.
pub(super) struct LayerPass<'a, G: GpuBackend> {
    pub(super) encoder: &'a DeviceEncoder<G>,
    pub(super) index: usize,
    pub(super) batch: &'a DeviceBatch<G>,
    pub(super) dropout: Option<Dropout>,
}

impl<G: GpuBackend> LayerPass<'_, G> {
    fn layout(&self) -> &LayerLayout {
        &self.encoder.layout.layers[self.index]
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.encoder.config.layers
    }

    /// Rows that are computed.
    fn rows(&self) -> usize {
        if self.is_last() { self.batch.sequences } else { self.batch.tokens }
    }

    fn tiles(&self) -> &Tiles {
        if self.is_last() { &self.batch.cls } else { &self.batch.all }
    }

    fn mask_after_attention(&self) -> [KernelArgument<'static, G::Memory>; 3] {
        let drops = drops_after_attention(self.encoder.config.family);
        mask(self.dropout.filter(|_| drops), DropoutSite::Attention(self.index))
    }

    fn mask_of_output(&self) -> [KernelArgument<'static, G::Memory>; 3] {
        mask(self.dropout, DropoutSite::Output(self.index))
    }

    /// Queries, and keys with values behind them, of a tape.
    fn projections<'t>(
        &self,
        cls_queries: Option<&'t G::Memory>,
        projected: &'t G::Memory,
    ) -> (StridedRows<'t, G::Memory>, StridedRows<'t, G::Memory>) {
        let width = self.encoder.width();
        match cls_queries {
            Some(queries) => {
                ((DevicePointer::start(queries), width), (DevicePointer::start(projected), 2 * width))
            }
            None => {
                let keys = DevicePointer { memory: projected, offset: width * BF16 };
                ((DevicePointer::start(projected), 3 * width), (keys, 3 * width))
            }
        }
    }

    /// From hidden states of all tokens to those of the rows that are computed.
    pub(super) fn forward(&self, input: &G::Memory) -> Result<LayerTape<G>, GpuError> {
        let (encoder, layout, rows) = (self.encoder, self.layout(), self.rows());
        let (width, tokens, inner_width) =
            (encoder.width(), self.batch.tokens, encoder.config.intermediate_size);
        let (cls, projected) = if self.is_last() {
            let cls_input = encoder.allocate_half(rows * width)?;
            let arguments = [
                whole(input),
                self.batch.number(self.batch.starts),
                count(width),
                count(rows),
                whole(&cls_input),
            ];
            encoder.launch_over_rows(Kernel::GatherRows, rows, 0, &arguments)?;
            let (queries, others) =
                (encoder.allocate_half(rows * width)?, encoder.allocate_half(tokens * 2 * width)?);
            encoder.dense(&layout.projections.part(0..width), &cls_input, &queries, rows)?;
            encoder.dense(&layout.projections.part(width..3 * width), input, &others, tokens)?;
            (Some(ClsQueries { queries, input: cls_input }), others)
        } else {
            let projected = encoder.allocate_half(tokens * 3 * width)?;
            encoder.dense(&layout.projections, input, &projected, tokens)?;
            (None, projected)
        };
        let (context, logarithms) =
            (encoder.allocate_half(rows * width)?, encoder.allocate_f32(rows * encoder.config.heads)?);
        self.attend(cls.as_ref().map(|cls| &cls.queries), &projected, &context, &logarithms)?;
        let hidden = cls.as_ref().map_or(input, |cls| &cls.input);
        let change = encoder.allocate_half(rows * width)?;
        encoder.dense(&layout.attention_output, &context, &change, rows)?;
        let attended =
            encoder.add_norm(&layout.attention_norm, (&change, self.mask_after_attention()), hidden, rows)?;
        let (inner, active) =
            (encoder.allocate_half(rows * inner_width)?, encoder.allocate_half(rows * inner_width)?);
        encoder.dense(&layout.intermediate, &attended.output, &inner, rows)?;
        let arguments = [whole(&inner), encoder.activation(), count(rows * inner_width), whole(&active)];
        encoder.launch_over_numbers(Kernel::Activate, rows * inner_width, 8, &arguments)?;
        encoder.dense(&layout.output, &active, &change, rows)?;
        let output = encoder.add_norm(
            &layout.output_norm,
            (&change, self.mask_of_output()),
            &attended.output,
            rows,
        )?;
        Ok(LayerTape { cls, projected, logarithms, context, attended, inner, active, output })
    }

    /// From the gradient of the output, which is used up, to that of the input, if anything before the layer is trained.
    pub(super) fn backward(
        &self,
        tape: &LayerTape<G>,
        input: &G::Memory,
        gradient: G::Memory,
    ) -> Result<Option<G::Memory>, GpuError> {
        let (encoder, layout, rows) = (self.encoder, self.layout(), self.rows());
        let (width, tokens) = (encoder.width(), self.batch.tokens);
        self.feed_forward_backward(tape, &gradient)?;
        let d_attended = encoder.allocate_half(rows * width)?;
        encoder.dropout(&gradient, rows, self.mask_after_attention(), &d_attended)?;
        encoder.dense_backward(
            &layout.attention_output,
            DevicePointer::start(&d_attended),
            &tape.context,
            rows,
        )?;
        let d_context = encoder.allocate_half(rows * width)?;
        let d_output = DevicePointer::start(&d_attended);
        encoder.dense_input(&layout.attention_output, d_output, &d_context, rows, Accumulation::Replace)?;
        let d_queries = self.is_last().then(|| encoder.allocate_half(rows * width)).transpose()?;
        let d_projected = encoder.allocate_half(tokens * if self.is_last() { 2 } else { 3 } * width)?;
        self.attend_backward(tape, &d_context, (d_queries.as_ref(), &d_projected))?;
        let query_input = tape.cls.as_ref().map_or(input, |cls| &cls.input);
        let (queries, keys) = self.projections(d_queries.as_ref(), &d_projected);
        let queries = ProjectionGradient { gradient: queries, input: query_input, rows };
        let values = ProjectionGradient { gradient: (self.values(keys), keys.1), input, rows: tokens };
        self.adapters_backward(queries, values)?;
        let goes_on = match encoder.trained {
            Trained::All => true,
            Trained::Layers(first) | Trained::Adapted(first) => self.index > first,
        };
        let Some(d_queries) = d_queries else {
            let d_projected = DevicePointer::start(&d_projected);
            encoder.dense_backward(&layout.projections, d_projected, input, tokens)?;
            if !goes_on {
                return Ok(None);
            }
            encoder.dense_input(&layout.projections, d_projected, &gradient, tokens, Accumulation::Add)?;
            return Ok(Some(gradient));
        };
        let (d_queries, d_others) = (DevicePointer::start(&d_queries), DevicePointer::start(&d_projected));
        let (queries, others) =
            (layout.projections.part(0..width), layout.projections.part(width..3 * width));
        encoder.dense_backward(&queries, d_queries, query_input, rows)?;
        encoder.dense_backward(&others, d_others, input, tokens)?;
        if !goes_on {
            return Ok(None);
        }
        encoder.dense_input(&queries, d_queries, &gradient, rows, Accumulation::Add)?;
        let d_input = encoder.allocate_half(tokens * width)?;
        encoder.dense_input(&others, d_others, &d_input, tokens, Accumulation::Replace)?;
        let starts = self.batch.number(self.batch.starts);
        let arguments = [whole(&gradient), starts, count(width), count(rows), whole(&d_input)];
        encoder.launch_over_rows(Kernel::ScatterAdd, rows, 0, &arguments)?;
        Ok(Some(d_input))
    }

    /// From the gradient of the output to that of the sums before attention's layer norm, in its place.
    fn feed_forward_backward(&self, tape: &LayerTape<G>, gradient: &G::Memory) -> Result<(), GpuError> {
        let (encoder, layout, rows) = (self.encoder, self.layout(), self.rows());
        let inner_width = encoder.config.intermediate_size;
        encoder.norm_backward(&layout.output_norm, gradient, &tape.output, rows)?;
        let d_output = encoder.allocate_half(rows * encoder.width())?;
        encoder.dropout(gradient, rows, self.mask_of_output(), &d_output)?;
        encoder.dense_backward(&layout.output, DevicePointer::start(&d_output), &tape.active, rows)?;
        let d_inner = encoder.allocate_half(rows * inner_width)?;
        encoder.dense_input(
            &layout.output,
            DevicePointer::start(&d_output),
            &d_inner,
            rows,
            Accumulation::Replace,
        )?;
        let arguments =
            [whole(&d_inner), whole(&tape.inner), encoder.activation(), count(rows * inner_width)];
        encoder.launch_over_numbers(Kernel::ActivateBack, rows * inner_width, 8, &arguments)?;
        encoder.dense_backward(
            &layout.intermediate,
            DevicePointer::start(&d_inner),
            &tape.attended.output,
            rows,
        )?;
        encoder.dense_input(
            &layout.intermediate,
            DevicePointer::start(&d_inner),
            gradient,
            rows,
            Accumulation::Add,
        )?;
        encoder.norm_backward(&layout.attention_norm, gradient, &tape.attended, rows)
    }

    /// Adds to the gradients of the weights of queries and values, if these have adapters.
    fn adapters_backward(
        &self,
        queries: ProjectionGradient<'_, G::Memory>,
        values: ProjectionGradient<'_, G::Memory>,
    ) -> Result<(), GpuError> {
        let (encoder, width) = (self.encoder, self.encoder.width());
        let Trained::Adapted(first) = encoder.trained else { return Ok(()) };
        let adapted = &encoder.state.adapted[2 * (self.index - first)..];
        for (projection, sums) in [queries, values].into_iter().zip(adapted) {
            let ProjectionGradient { gradient: (gradient, stride), input, rows } = projection;
            // Products want rows without gaps.
            let copy = encoder.allocate_half(rows * width)?;
            let arguments =
                [KernelArgument::Pointer(gradient), count(stride), count(width), count(rows), whole(&copy)];
            encoder.launch_over_rows(Kernel::CopyColumns, rows, 0, &arguments)?;
            encoder.weight_backward(
                (DevicePointer::start(&copy), width),
                (input, width),
                rows,
                DevicePointer::start(sums),
            )?;
        }
        Ok(())
    }

    fn attend(
        &self,
        cls_queries: Option<&G::Memory>,
        projected: &G::Memory,
        context: &G::Memory,
        logarithms: &G::Memory,
    ) -> Result<(), GpuError> {
        let (encoder, tiles) = (self.encoder, self.tiles());
        let (queries, keys) = self.projections(cls_queries, projected);
        let [key, threshold, scale] = mask(self.dropout, DropoutSite::Probabilities(self.index));
        let arguments = [
            KernelArgument::Pointer(queries.0),
            count(queries.1),
            KernelArgument::Pointer(keys.0),
            KernelArgument::Pointer(self.values(keys)),
            count(keys.1),
            self.batch.number(tiles.forward),
            KernelArgument::F32(self.scale() * std::f32::consts::LOG2_E),
            whole(context),
            count(encoder.width()),
            whole(logarithms),
            count(encoder.config.heads),
            key,
            threshold,
            scale,
        ];
        self.launch(encoder.kernels.forward, tiles.query_count, &arguments)
    }

    fn attend_backward(
        &self,
        tape: &LayerTape<G>,
        d_context: &G::Memory,
        (d_queries, d_projected): (Option<&G::Memory>, &G::Memory),
    ) -> Result<(), GpuError> {
        let (encoder, tiles, rows) = (self.encoder, self.tiles(), self.rows());
        let (width, heads) = (encoder.width(), encoder.config.heads);
        let delta = encoder.allocate_f32(rows * heads)?;
        let arguments = [
            whole(&tape.context),
            whole(d_context),
            count(heads),
            count(width / heads),
            count(rows),
            whole(&delta),
        ];
        encoder.launch_over_numbers(Kernel::HeadProducts, rows * heads, 1, &arguments)?;
        let (queries, keys) = self.projections(tape.cls.as_ref().map(|cls| &cls.queries), &tape.projected);
        let (d_queries, d_keys) = self.projections(d_queries, d_projected);
        let with = |tiles: usize| {
            let [key, threshold, scale] = mask(self.dropout, DropoutSite::Probabilities(self.index));
            [
                KernelArgument::Pointer(queries.0),
                count(queries.1),
                KernelArgument::Pointer(keys.0),
                KernelArgument::Pointer(self.values(keys)),
                count(keys.1),
                whole(d_context),
                count(width),
                self.batch.number(tiles),
                whole(&tape.logarithms),
                whole(&delta),
                count(heads),
                KernelArgument::F32(self.scale() * std::f32::consts::LOG2_E),
                KernelArgument::F32(self.scale()),
                key,
                threshold,
                scale,
            ]
        };
        let outputs = [KernelArgument::Pointer(d_queries.0), count(d_queries.1)];
        let arguments: Vec<_> = with(tiles.queries).into_iter().chain(outputs).collect();
        self.launch(encoder.kernels.queries, tiles.query_count, &arguments)?;
        let outputs = [
            KernelArgument::Pointer(d_keys.0),
            KernelArgument::Pointer(self.values(d_keys)),
            count(d_keys.1),
        ];
        let arguments: Vec<_> = with(tiles.keys).into_iter().chain(outputs).collect();
        self.launch(encoder.kernels.keys, tiles.key_count, &arguments)
    }

    /// Values lie behind keys.
    fn values<'t>(&self, (keys, _): StridedRows<'t, G::Memory>) -> DevicePointer<'t, G::Memory> {
        DevicePointer { offset: keys.offset + self.encoder.width() * BF16, ..keys }
    }

    fn scale(&self) -> f32 {
        let config = &self.encoder.config;
        1.0 / ((config.hidden_size / config.heads) as f32).sqrt()
    }

    fn launch(
        &self,
        kernel: Kernel,
        tiles: usize,
        arguments: &[KernelArgument<'_, G::Memory>],
    ) -> Result<(), GpuError> {
        self.encoder.gpu.launch(&Launch {
            kernel,
            grid: [tiles as u32, self.encoder.config.heads as u32],
            threads: ATTENTION_THREADS,
            shared_bytes: 0,
            arguments,
        })
    }
}
