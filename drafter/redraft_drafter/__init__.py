"""Trains the recurrent draft head of a GGUF target model."""

__version__ = "0.1.0"
