"""The peer PyTorch: eager with SDPA in f32, compiled, and with dynamic int8 quantisation of the dense layers."""

import warnings
from argparse import Namespace

import numpy as np
import torch
import torch._inductor.config
from transformers import BertForSequenceClassification

import peer

# Measured best of 8, 16, 32 and 64.
BATCH_SIZE = {"f32": 16, "compiled": 16, "int8": 16}


class Pytorch(peer.Network):
    """A model of `transformers`, perhaps changed by PyTorch."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    @torch.inference_mode()
    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return self.model(**inputs).logits.softmax(-1).numpy()


def load(args: Namespace) -> Pytorch:
    """The network of a variant."""
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    model = BertForSequenceClassification.from_pretrained(
        args.model, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    match args.variant:
        case "compiled":
            # Weights become constants, which the compiler then packs as it likes them.
            torch._inductor.config.freezing = True
            return Pytorch(torch.compile(model, dynamic=True))
        case "int8":
            return Pytorch(quantised(model))
    return Pytorch(model)


def quantised(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its dense layers in int8: weights by channel, activations by tensor as they come."""
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantize_dynamic(model, {torch.nn.Linear: per_channel_dynamic_qconfig})


if __name__ == "__main__":
    args = peer.arguments(BATCH_SIZE)
    peer.serve(lambda: load(args), args, BATCH_SIZE[args.variant])
