"""From a trained forecaster to a bundle whose answers are proven equal."""
