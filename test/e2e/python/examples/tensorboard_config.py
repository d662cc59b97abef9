import tracelet_sync as tracelet

# The example.
tracelet.start_logging(
    exp_name="custom_tensorboard",
    backend="wandb",
    config={
        "track_tensorboard": True,       # Enable TensorBoard capture (default: True)
        "tensorboard_log_dir": "./runs", # TensorBoard log directory
        "capture_images": True,          # Capture add_image() calls
        "capture_histograms": True,      # Capture add_histogram() calls
        "capture_audio": False,          # Skip audio (can be large)
        "max_image_size": "1MB",         # Limit image sizes
    }
)

# Filled in: what these choose from.
import torch
from torch.utils.tensorboard import SummaryWriter

writer = SummaryWriter()
writer.add_scalar("loss", 0.5, 0)
writer.add_image("small", torch.rand(3, 16, 16), 0)
writer.add_image("large", torch.rand(3, 700, 700), 0)
writer.add_histogram("weights", torch.randn(100), 0)
writer.add_audio("sound", torch.rand(1, 800), 0, sample_rate=8000)
