import torch
from _lightning import loader

train_dataloader = loader(torch.randn(32, 4), torch.randint(2, (32,)))
val_dataloader = loader(torch.randn(8, 4), torch.randint(2, (8,)))

# The example.
import tracelet_sync as tracelet
import pytorch_lightning as pl
from pytorch_lightning import Trainer

# Start Tracelet before creating trainer
tracelet.start_logging(
    exp_name="lightning_experiment",
    project="my_project",
    backend="mlflow"
)

# Define your LightningModule as usual
class MyModel(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.compute_loss(batch)

        # All these metrics are automatically captured by Tracelet
        self.log('train/loss', loss)
        self.log('train/accuracy', self.compute_accuracy(batch))

        return loss

    def validation_step(self, batch, batch_idx):
        val_loss = self.compute_loss(batch)
        val_acc = self.compute_accuracy(batch)

        # Validation metrics are also captured
        self.log('val/loss', val_loss)
        self.log('val/accuracy', val_acc)

# Filled in: what the page leaves to its reader.
from _lightning import trainer as Trainer


class MyModel(MyModel):
    def __init__(self, lr=0.1, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 2)

    def compute_loss(self, batch):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def compute_accuracy(self, batch):
        return (self.layer(batch[0]).argmax(1) == batch[1]).float().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.lr)

    def test_step(self, batch, batch_idx):
        self.log('test/accuracy', self.compute_accuracy(batch))

# Train your model - metrics automatically tracked
model = MyModel()
trainer = Trainer(max_epochs=3, log_every_n_steps=2)
trainer.fit(model, train_dataloader, val_dataloader)
trainer.test(model, val_dataloader, verbose=False)  # Filled in: the page promises test metrics.

# Stop tracking
tracelet.stop_logging()
