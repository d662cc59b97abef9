"""A Trainer that prints nothing and takes the CPU; batches for it."""

import logging
import warnings

import pytorch_lightning as pl
from torch.utils.data import DataLoader, TensorDataset, default_collate

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def trainer(**options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(**{**quiet, **options})


def loader(*tensors, batch_size=4):
    """Batches of one tensor, or of tuples."""
    data = TensorDataset(*tensors)

    def collate(rows):
        return default_collate([row if len(tensors) > 1 else row[0] for row in rows])

    return DataLoader(data, batch_size, collate_fn=collate)
