# The example.
try:
    import tracelet_sync as tracelet

    tracelet.start_logging(
        exp_name="safe_tensorboard",
        project="error_handling",
        backend="mlflow"
    )

    from torch.utils.tensorboard import SummaryWriter
    writer = SummaryWriter()

except ImportError as e:
    print(f"TensorBoard not available: {e}")
    # Fall back to manual logging
    exp = tracelet.get_active_experiment()
    exp.log_metric("fallback_metric", 1.0)

# Filled in: a value, and the way that is not taken here.
writer.add_scalar("loss", 0.25, 1)
exp = tracelet.get_active_experiment()
exp.log_metric("fallback_metric", 1.0)
