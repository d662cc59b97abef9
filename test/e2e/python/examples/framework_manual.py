# The example.
from tracelet_sync.frameworks.pytorch import PyTorchFramework
from tracelet_sync.core.experiment import Experiment
import tracelet_sync as tracelet

# Manual framework setup
exp = tracelet.start_logging(
    exp_name="manual_pytorch",
    project="framework_demo",
    backend="mlflow"
)

# Get the PyTorch framework instance
pytorch_framework = exp._frameworks.get("pytorch")  # Internal access

# Or initialize separately
framework = PyTorchFramework(patch_tensorboard=True)
framework.initialize(exp)
framework.start_tracking()

# Filled in: both log.
assert isinstance(exp, Experiment)
pytorch_framework.log_metric("from/experiment", 1.5, 1)
framework.log_metric("from/framework", 2.5, 2)
framework.stop_tracking()
