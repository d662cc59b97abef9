import tracelet_sync as tracelet

# The example.
# Configure specific PyTorch tracking options
tracelet.start_logging(
    exp_name="advanced_pytorch",
    backend="wandb",
    config={
        "track_tensorboard": True,      # Enable TensorBoard capture
        "track_system": True,           # Monitor system metrics
        "metrics_interval": 5.0,        # System metrics every 5 seconds
    }
)

# Filled in: a training.
from torch.utils.tensorboard import SummaryWriter

with SummaryWriter() as writer:
    for step in range(5):
        writer.add_scalar("loss", 1 / (step + 1), step)
