"""Architectures: torch modules used for training, as the serving reference, and for GPUs."""
