"""TensorBoard event files, written without TensorBoard."""

from .event_file import EventFile

__all__ = ["EventFile"]
