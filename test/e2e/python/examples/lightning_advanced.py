import tracelet_sync as tracelet

# The example.
# Configure Lightning-specific tracking
tracelet.start_logging(
    exp_name="advanced_lightning",
    backend=["mlflow", "wandb"],
    config={
        "track_lightning": True,        # Enable Lightning integration
        "track_system": True,           # Monitor system resources
        "track_git": True,              # Track git information
        "metrics_interval": 10.0,       # System metrics every 10 seconds
    }
)

# Filled in: a model whose methods are the page's other blocks.
import torch
import pytorch_lightning as pl
from _lightning import loader, trainer


class Model(pl.LightningModule):
    learning_rate, batch_size = 0.01, 4

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch):
        return self.layer(batch)

    def compute_loss(self, batch):
        return self(batch).square().mean()

    def compute_custom_metric(self, predictions, batch):
        return predictions.abs().max()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.learning_rate)

    # The example.
    def on_train_start(self):
        # Log hyperparameters
        self.logger.log_hyperparams({
            'learning_rate': self.learning_rate,
            'batch_size': self.batch_size,
            'model_name': self.__class__.__name__
        })

    def training_step(self, batch, batch_idx):
        loss = self.compute_loss(batch)
        accuracy, f1 = loss * 2, loss * 3

        # Good: Hierarchical naming
        self.log('train/accuracy', accuracy)
        self.log('train/f1_score', f1)

        # Also good: Phase-specific metrics
        self.log('metrics/train_loss', loss)
        self.log('metrics/train_acc', accuracy)

        # Log every step
        self.log('train/loss', loss, on_step=True, on_epoch=False)

        # Log epoch averages
        self.log('train/epoch_loss', loss, on_step=False, on_epoch=True)

        # Log both
        self.log('train/loss_detailed', loss, on_step=True, on_epoch=True)

        # Custom metrics
        predictions = self.forward(batch)
        custom_metric = self.compute_custom_metric(predictions, batch)

        self.log('custom/my_metric', custom_metric)
        return loss


trainer(max_epochs=2, log_every_n_steps=1).fit(Model(), loader(torch.randn(20, 4)))
