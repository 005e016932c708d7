"""From a store of cells to a trained forecaster: data sets, losses, training, tracking."""
