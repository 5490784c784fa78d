"""CUDA devices (as `torch.cuda`): which there are, their memory, and the order in which they do things.

    x = x.cuda()                                      # or .to("cuda:1"); everything that is computed from it stays there
    with minigrad.cuda.stream(minigrad.cuda.Stream()):
        ...

A device works through what it is asked to do while the host goes on. The host waits only where it must know a number:
`item()`, `tolist()`, `cpu()`, `bool(...)`, printing, and results whose size depends on values (masks, `nonzero`,
`unique`). Nothing else here waits.

What lives here: questions to devices, streams, events, memory. What does not: the tensors, which go there with
`.to("cuda")`; which library computes there, which is backend.py's; the kernels, in ../../kernels/cuda.

Asked where there is no device, everything but `is_available`, `device_count` and the seeds says what is missing.
"""

from . import amp
from .devices import (
    current_device,
    device,
    device_count,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_initialized,
    manual_seed,
    manual_seed_all,
    set_device,
)
from .fused import preferred_blas_library
from .memory import (
    empty_cache,
    max_memory_allocated,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .streams import Event, Stream, current_stream, default_stream, stream, synchronize
