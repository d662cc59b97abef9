# The example.
import tracelet_sync as tracelet  # Add this import
from torch.utils.tensorboard import SummaryWriter

tracelet.start_logging("my_experiment", backend="mlflow")  # Add this line
writer = SummaryWriter()
# ... same training loop, no changes needed ...
for step in range(4):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.close()
tracelet.stop_logging()  # Add this line
