"""A bundle's forecast on a microcontroller."""
