"""Helper processes for models and libraries that must not share the worker's process, and the pipe to them."""
