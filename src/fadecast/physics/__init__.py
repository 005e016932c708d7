"""Simulated solid-state cells: reduced-order physics compiled with numba."""
