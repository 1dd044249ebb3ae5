"""Gaussian diffusion as plain functions: schedules, targets, keyed noise, guidance, samplers."""
