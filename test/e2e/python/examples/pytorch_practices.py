import torch
import tracelet_sync as tracelet
from torch.utils.tensorboard import SummaryWriter

tracelet.start_logging("pytorch_practices", project="my_project", backend="mlflow")
writer = SummaryWriter()


class model:
    parameters = staticmethod(lambda: torch.linspace(-1, 1, 50))


sample_predictions = torch.rand(3, 8, 8)
for step in (0, 100, 1000):
    train_loss, val_loss, train_acc, val_acc = 0.5, 0.6, 0.7, 0.65
    # The example.
    # Good: Hierarchical naming
    writer.add_scalar('Loss/Train', train_loss, step)
    writer.add_scalar('Loss/Validation', val_loss, step)
    writer.add_scalar('Accuracy/Train', train_acc, step)
    writer.add_scalar('Accuracy/Validation', val_acc, step)

    # Avoid: Flat naming
    writer.add_scalar('train_loss', train_loss, step)
    writer.add_scalar('val_loss', val_loss, step)

    # Log less frequently for expensive operations
    if step % 100 == 0:
        writer.add_histogram('gradients', model.parameters(), step)

    if step % 1000 == 0:
        writer.add_image('predictions', sample_predictions, step)
