"""`minigrad bench`: how fast minigrad is, beside PyTorch and others, in numbers that can be trusted.

What lives here: the workloads, each written once in PyTorch's words; the process that runs one of them with one library;
the measuring, in turns; and what becomes of the numbers, a table, a JSON file and a picture. `benchmarks/` in the
repository has what was measured, and a page on how to read it.

Nothing in the library depends on this. worker.py, workloads.py, operations.py and peers.py do not even import it: in the
process in which another library is measured there is no trace of minigrad, which would change how memory is handed out.
"""
