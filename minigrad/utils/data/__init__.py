"""From a collection of samples to batches of tensors (as `torch.utils.data`).

A Dataset knows its samples by number, a Sampler says in which order to take them, `default_collate` puts the samples of
a batch together, and a DataLoader runs the three, in this process or in several:

    sampler ──► 7, 2, 9, 4 ──► batches of numbers ──► [dataset[7], dataset[2]] ──► collate ──► tensors
"""

from .collate import default_collate, default_convert
from .dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .loader import DataLoader
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .workers import WorkerInfo, get_worker_info
