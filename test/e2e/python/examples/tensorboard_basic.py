import torch


class model:
    class layer1:
        weight = torch.randn(5, 5)


pred_image = torch.rand(3, 16, 16)
loss_value, acc_value = 0.5, 0.9

# The example.
import tracelet_sync as tracelet
from torch.utils.tensorboard import SummaryWriter

# Start Tracelet
tracelet.start_logging(
    exp_name="tensorboard_experiment",
    project="my_project",
    backend="mlflow"
)

# Use TensorBoard exactly as before
writer = SummaryWriter(log_dir='./runs/experiment_1')

# All these operations are automatically captured
for step in range(30):
    # Scalars
    writer.add_scalar('Loss/Train', loss_value, step)
    writer.add_scalar('Accuracy/Train', acc_value, step)

    # Histograms
    writer.add_histogram('Weights/Layer1', model.layer1.weight, step)

    # Images (every 10 steps)
    if step % 10 == 0:
        writer.add_image('Predictions', pred_image, step)

writer.close()
tracelet.stop_logging()
