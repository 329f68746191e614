"""The parameters that several tools share, described for the model that fills them in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Command = Annotated[str, Field(description="A shell command line; bash where there is one, else sh.", min_length=1)]
NodeId = Annotated[str, Field(description="A node's name, as cluster_status gives it.", min_length=1)]
RequiresOs = Annotated[Literal["linux", "macos"] | None, Field(description="Only nodes with this system.")]
RequiresArch = Annotated[str | None, Field(description="Only nodes with this architecture: x86_64, arm64, armv7l…")]
Cwd = Annotated[str | None, Field(description="Directory on the node; default is as for `toft offload`.")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# bash takes a variable named `BASH_FUNC_ls%%` for a function that is then run instead of ls.
Env = Annotated[dict[VariableName, str] | None, Field(description="Variables for the command.")]
TimeoutS = Annotated[float | None, Field(description="Stop the command after this many seconds.", gt=0)]
WaitS = Annotated[
    float | None, Field(description="Answer after so many seconds even if it still runs; 0: at once.", ge=0)
]
JobId = Annotated[str, Field(description="A job's id, or a beginning that no other job's id has.", min_length=1)]
Pattern = Annotated[str | None, Field(description="Only nodes that match this Ansible pattern.")]
