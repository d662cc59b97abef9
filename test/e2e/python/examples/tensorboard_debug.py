import tracelet_sync as tracelet

# The example.
import logging
logging.basicConfig(level=logging.DEBUG)

tracelet.start_logging("debug_experiment", backend="mlflow")
# ... your code ...
from torch.utils.tensorboard import SummaryWriter

SummaryWriter().add_scalar("debugged", 0.5, 7)
