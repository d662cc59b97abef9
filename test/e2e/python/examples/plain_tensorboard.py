import torch
import tracelet_sync as tracelet

tracelet.start_logging("plain_tensorboard", project="my_project", backend="mlflow")

num_epochs, device = 3, "cpu"
model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 7, stride=16), torch.nn.Flatten(), torch.nn.Linear(392, 2)).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
model(torch.randn(1, 3, 224, 224)).sum().backward()
train_loader = [(torch.rand(16, 3, 12, 12), torch.zeros(16))]


class torchvision:
    """Its wheel is not for the torch of these tests."""

    class utils:
        @staticmethod
        def make_grid(images, nrow, normalize):
            rows = [torch.cat(list(row), 2) for row in images.split(nrow)]
            return torch.cat(rows, 1)


best_val_loss, best_val_acc = 0.2, 0.9


def train_one_epoch(*_):
    return 0.5, 0.8


validate = train_one_epoch

# The example.
from torch.utils.tensorboard import SummaryWriter

writer = SummaryWriter('runs/experiment_01')

for epoch in range(num_epochs):
    train_loss, train_acc = train_one_epoch(...)
    val_loss, val_acc = validate(...)

    writer.add_scalar('Loss/train', train_loss, epoch)
    writer.add_scalar('Loss/val', val_loss, epoch)
    writer.add_scalar('Accuracy/train', train_acc, epoch)
    writer.add_scalar('Accuracy/val', val_acc, epoch)
    writer.add_scalar('LearningRate', optimizer.param_groups[0]['lr'], epoch)

writer.close()

for name, param in model.named_parameters():
    writer.add_histogram(f'Parameters/{name}', param, epoch)
    if param.grad is not None:
        writer.add_histogram(f'Gradients/{name}', param.grad, epoch)

images, labels = next(iter(train_loader))
grid = torchvision.utils.make_grid(images[:16], nrow=4, normalize=True)
writer.add_image('Training/batch_samples', grid, epoch)

dummy_input = torch.randn(1, 3, 224, 224).to(device)
writer.add_graph(model, dummy_input)

hparams = {'lr': 0.001, 'batch_size': 64, 'optimizer': 'Adam'}
metrics = {'hparam/best_val_loss': best_val_loss,
           'hparam/best_val_acc': best_val_acc}
writer.add_hparams(hparams, metrics)

# Experiment comparison
writer1 = SummaryWriter('runs/lr_0.001')
writer2 = SummaryWriter('runs/lr_0.01')
writer3 = SummaryWriter('runs/lr_0.1')

# Filled in: what is compared.
for each in (writer1, writer2, writer3):
    each.add_scalar('Loss/train', 0.5, 0)
