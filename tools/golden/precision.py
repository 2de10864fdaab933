"""Everything in float64, also where the reference asks for float32."""

import torch
from torch.overrides import TorchFunctionMode


class Float64(TorchFunctionMode):
    """Reads every request for float32 as one for float64.

    The reference computes norms, rotary angles, softmax and scans in float32 whatever the type of the model is, which
    is right for models in bfloat16 but would leave errors of 1e-7 in values that are meant to be exact.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        args = tuple(widen(value) for value in args)
        kwargs = {name: widen(value) for name, value in (kwargs or {}).items()}
        return function(*args, **kwargs)


def widen(value):
    return torch.float64 if value is torch.float32 else value
