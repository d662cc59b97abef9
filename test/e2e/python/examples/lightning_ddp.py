import torch
import tracelet_sync as tracelet
import pytorch_lightning as pl
from _lightning import loader, trainer as Trainer

tracelet.start_logging("lightning_ddp", project="my_project", backend="mlflow")


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log('train/loss', loss, sync_dist=True)
        # Each process logs for itself.
        tracelet.get_active_experiment().log_metric(f"rank/{self.global_rank}", loss, self.global_step)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return loader(torch.randn(16, 4), batch_size=2)


model = Model()

# The example.
# Works with DDP, DDP2, etc.
trainer = Trainer(
    accelerator='cpu',  # Changed: the page says 'gpu', and 4 of them.
    devices=2,
    strategy='ddp',
    max_epochs=2,
    log_every_n_steps=1,
)

# Metrics from all processes are automatically aggregated
trainer.fit(model)
