import tracelet_sync as tracelet
from torch.utils.tensorboard import SummaryWriter

tracelet.start_logging("framework_naming", project="best_practices", backend="mlflow")
writer = SummaryWriter()
train_loss, train_acc, val_loss, val_acc, current_lr, gpu_memory = 0.3, 0.8, 0.4, 0.7, 1e-3, 2048
for epoch in range(3):
    # The example.
    # Use consistent naming patterns
    writer.add_scalar("train/loss", train_loss, epoch)
    writer.add_scalar("train/accuracy", train_acc, epoch)
    writer.add_scalar("val/loss", val_loss, epoch)
    writer.add_scalar("val/accuracy", val_acc, epoch)
    writer.add_scalar("lr/learning_rate", current_lr, epoch)
    writer.add_scalar("gpu/memory_usage", gpu_memory, epoch)
