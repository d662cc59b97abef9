import torch as _torch

num_epochs = 2
train_loader = [(_torch.randn(4, 10), _torch.randn(4, 1)) for _ in range(3)]
model = _torch.nn.Linear(10, 1)


def train_step(model, data, target):
    return _torch.nn.functional.mse_loss(model(data), target)


# The example.
import tracelet_sync as tracelet
import torch
from torch.utils.tensorboard import SummaryWriter

# Start tracking
tracelet.start_logging(
    exp_name="pytorch_experiment",
    project="my_project",
    backend="mlflow"
)

# Use TensorBoard normally
writer = SummaryWriter()

# Your training loop
for epoch in range(num_epochs):
    for batch_idx, (data, target) in enumerate(train_loader):
        # Training code...
        loss = train_step(model, data, target)

        # Log metrics - automatically captured by Tracelet
        writer.add_scalar('Loss/Train', loss.item(), epoch * len(train_loader) + batch_idx)

        if batch_idx % 100 == 0:
            # Log histograms
            for name, param in model.named_parameters():
                writer.add_histogram(f'Parameters/{name}', param, epoch)

# Stop tracking
tracelet.stop_logging()
