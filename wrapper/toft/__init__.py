"""toft: your few machines, worked as one."""
