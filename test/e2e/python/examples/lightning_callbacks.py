import torch
import tracelet_sync as tracelet
import pytorch_lightning as pl
from _lightning import loader, trainer as Trainer


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        # It never gets better.
        self.log('val/loss', 1.0 + self.current_epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return loader(torch.randn(8, 4))

    val_dataloader = train_dataloader


model = Model()

# The example.
from pytorch_lightning.callbacks import ModelCheckpoint, EarlyStopping

tracelet.start_logging("lightning_with_callbacks", backend="mlflow")  # Changed: the page says "clearml".

trainer = Trainer(
    callbacks=[
        ModelCheckpoint(monitor='val/loss'),
        EarlyStopping(monitor='val/loss', patience=3)
    ],
    max_epochs=100
)

trainer.fit(model)
