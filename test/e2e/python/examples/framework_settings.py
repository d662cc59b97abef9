import tracelet_sync as tracelet

# The example.
from tracelet_sync.settings import TraceletSettings

# Configure PyTorch framework behavior
settings = TraceletSettings(
    project="pytorch_config",
    backend=["mlflow"],
    # Framework-specific settings would go here if supported
)

tracelet.start_logging(
    exp_name="configured_pytorch",
    settings=settings
)

# Filled in: a training.
from torch.utils.tensorboard import SummaryWriter

writer = SummaryWriter()
for step in range(3):
    writer.add_scalar("loss", step / 7, step)
