"""toft: your few machines, worked as one."""

__version__ = "0.1.0"
