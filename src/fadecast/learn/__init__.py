"""From a store of cells to a trained forecaster: data sets, losses, training, tracking."""

import os

# Before MLflow is imported anywhere: nothing leaves the machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
