import torch
import torch.nn.functional as F
import tracelet_sync as tracelet
from torch.utils.tensorboard import SummaryWriter

tracelet.start_logging("tensorboard_features", project="my_project", backend="mlflow")
writer = SummaryWriter()
train_loss, val_loss, ce_loss, reg_loss, train_acc, val_acc, f1_macro = 0.5, 0.6, 0.4, 0.1, 0.8, 0.7, 0.65
lr, batch_size, model_name, loss = 1e-3, 32, "ResNet", 0.5
sample_images = torch.rand(3, 8, 8)
large_image = torch.rand(1, 3, 300, 300)
model = torch.nn.Linear(4, 2)
model.gradients = torch.randn(100)
step = 0

# The example.
# Multiple writers for different aspects
train_writer = SummaryWriter('runs/train')
val_writer = SummaryWriter('runs/validation')

# Both are automatically captured
train_writer.add_scalar('loss', train_loss, step)
val_writer.add_scalar('loss', val_loss, step)

# Creates nested structure in backends
writer.add_scalar('Loss/Train/CrossEntropy', ce_loss, step)
writer.add_scalar('Loss/Train/Regularization', reg_loss, step)
writer.add_scalar('Loss/Validation/Total', val_loss, step)

writer.add_scalar('Metrics/Accuracy/Train', train_acc, step)
writer.add_scalar('Metrics/Accuracy/Validation', val_acc, step)
writer.add_scalar('Metrics/F1/Macro', f1_macro, step)

# Scalars with custom metadata
writer.add_scalar('learning_rate', lr, step)
writer.add_scalar('batch_size', batch_size, step)

# Text logs for additional context
writer.add_text('Config', f"Model: {model_name}, LR: {lr}", step)
writer.add_text('Notes', 'Changed optimizer to AdamW', step)

# Good: Batch similar metrics
if step % 10 == 0:  # Log every 10 steps
    writer.add_scalar('Loss/Train', loss, step)

if step % 100 == 0:  # Log expensive operations less frequently
    writer.add_histogram('Gradients', model.gradients, step)

if step % 1000 == 0:  # Log very expensive operations rarely
    writer.add_image('Samples', sample_images, step)

# Limit image resolution
resized_image = F.interpolate(large_image, size=(224, 224))
writer.add_image('Prediction', resized_image[0], step)  # Changed: torch refuses the page's NCHW.

# Log histograms selectively
if step % 500 == 0:  # Reduce frequency for memory-intensive ops
    for name, param in model.named_parameters():
        if 'weight' in name:  # Only log weights, not biases
            writer.add_histogram(f'Weights/{name}', param, step)

# Filled in: the kinds that the page lists beside these.
writer.add_audio('Sample', torch.sin(torch.arange(800) / 8).unsqueeze(0), step, sample_rate=8000)
writer.add_graph(model, torch.rand(1, 4))
writer.add_scalars('Losses', {'total': train_loss, 'extra': val_loss}, step)
