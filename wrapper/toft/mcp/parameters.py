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
Nodes = Annotated[list[str] | None, Field(description="Names, groups or patterns; without it, all.")]
Commands = Annotated[list[str], Field(description="Shell command lines, one each.", min_length=1, max_length=1000)]
Slots = Annotated[int | None, Field(description="At once on each node, at most.", ge=1)]
Independent = Annotated[bool, Field(description="Look for no dependencies.")]
FailFast = Annotated[bool, Field(description="Stop all at the first failure.")]
Pull = Annotated[str | None, Field(description="Bring this path back from the one node named by `on`.")]
OneJob = Annotated[str | None, Field(description="One job; without it, all recent ones.")]
Offset = Annotated[int, Field(description="In bytes; below 0 it counts from the end.")]
Length = Annotated[int, Field(description="Bytes.", ge=1, le=50_000)]
SignalName = Annotated[str, Field(description="Its name, without SIG.")]
