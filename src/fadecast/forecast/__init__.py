"""What a forecast is, and how good forecasts are: pure numpy."""
