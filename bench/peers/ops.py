#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Operations of bench/ops.bench.cpp in PyTorch: value and gradients of all inputs from a given cotangent, float32, on one
thread. Cases have the names of that program. Prints a line of JSON a case and mode. Needs setup.sh --all."""

import torch
from torch.nn import functional as F

from train_step import COMPILE, run


def attention(heads, head, samples, tokens):
    """q, k and v side by side, as a projection leaves them."""
    mask = torch.randn(samples, 1, tokens, tokens)
    forbidden = torch.rand(mask.shape) < 0.3
    forbidden[..., 0] = False
    mask.masked_fill_(forbidden, float("-inf"))

    def f(qkv):
        q, k, v = qkv.view(samples, tokens, 3, heads, head).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(-1, heads * head)
    return f


def cases(rows):
    """By name: the function and its inputs' shapes."""
    samples = rows // 32
    return {
        f"linear [{rows},64] [64,256] [256]": (lambda x, w, b: torch.addmm(b, x, w), [(rows, 64), (64, 256), (256,)]),
        f"layer norm [{rows},64] [64] [64]": (lambda x, g, b: F.layer_norm(x, (64,), g, b), [(rows, 64), (64,), (64,)]),
        f"attention {samples}x32, 4 heads mask a sample [{rows},192]": (attention(4, 16, samples, 32), [(rows, 192)]),
        f"gelu [{rows},64]": (lambda x: F.gelu(x, approximate="tanh"), [(rows, 64)]),
        f"softmax [{rows},64]": (lambda x: torch.softmax(x, -1), [(rows, 64)]),
    }


CASES = cases(256) | cases(16384)


def build(case, mode):
    torch.manual_seed(1)
    torch._dynamo.reset()
    function, shapes = CASES[case]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    if mode != "eager":
        function = torch.compile(function, mode=COMPILE[mode], dynamic=False)
    cotangent = torch.ones_like(function(*inputs))
    return lambda: torch.autograd.grad(function(*inputs), inputs, cotangent)


if __name__ == "__main__":
    run(__doc__, build, CASES, 1)
