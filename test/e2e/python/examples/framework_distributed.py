import os

os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ["EXAMPLE_PORT"])

# The example.
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.tensorboard import SummaryWriter
import tracelet_sync as tracelet

def train_worker(rank, world_size):
    # Initialize distributed training
    dist.init_process_group("gloo", rank=rank, world_size=world_size)  # Changed: the page says "nccl".

    # Only rank 0 handles experiment tracking
    if rank == 0:
        tracelet.start_logging(
            exp_name="distributed_training",
            project="multi_gpu",
            backend="mlflow"
        )
        writer = SummaryWriter()

    # Create model and move to GPU
    model = torch.nn.Linear(1000, 10)  # Changed: without .cuda(rank), here and below.
    model = torch.nn.parallel.DistributedDataParallel(model)

    for epoch in range(20):
        # Training code here...
        loss = torch.randn(1)  # Simulated loss

        # Gather losses from all ranks
        gathered_losses = [torch.zeros_like(loss) for _ in range(world_size)]
        dist.all_gather(gathered_losses, loss)

        # Only rank 0 logs metrics
        if rank == 0:
            avg_loss = torch.stack(gathered_losses).mean().item()
            writer.add_scalar("train_loss", avg_loss, epoch)

    if rank == 0:
        writer.close()
        tracelet.stop_logging()

# Launch distributed training
def main():
    world_size = 2  # Changed: the page asks CUDA.
    mp.spawn(train_worker, args=(world_size,), nprocs=world_size)

if __name__ == "__main__":
    main()
