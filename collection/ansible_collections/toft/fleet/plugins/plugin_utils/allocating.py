# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where each of several commands could run, and all that is needed to start them there.

The nodes are probed once for all commands. For each command routing decides as if it were alone; which of its
candidates gets it is for a schedule to say, as slots become free. So the answer has every node's transport and
the request with which a job is started on it, but for its id and its command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import rules, shell
from ansible_collections.toft.fleet.plugins.plugin_utils.candidates import candidate, known_rules
from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Command
from ansible_collections.toft.fleet.plugins.plugin_utils.dispatching import job_request
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member, at_home
from ansible_collections.toft.fleet.plugins.plugin_utils.routing import Node, Policy, decide
from ansible_collections.toft.fleet.plugins.plugin_utils.survey import survey
from ansible_collections.toft.fleet.plugins.plugin_utils.this_machine import machine_id
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport


def allocate(members: Sequence[Member], asked: Asked) -> dict[str, Any]:
    """Each of `asked.words` is one shell command line. As JSON: `commands` in their order, `nodes` by name."""
    known = known_rules(asked)
    policy = Policy.from_dict(asked.policy, known.topics)
    here = machine_id()
    seen = survey(members, interval=asked.interval, patience=asked.patience)
    nodes = [candidate(one.member, one, here) for one in seen]
    home = [at_home(m) if node.local else m for m, node in zip(members, nodes, strict=True)]
    return {
        "commands": [_command(line, known, nodes, policy) for line in asked.words],
        "nodes": {node.name: _node(node, member, home, asked) for node, member in zip(nodes, home, strict=True)},
    }


def _command(text: str, known: rules.Rules, nodes: Sequence[Node], policy: Policy) -> dict[str, Any]:
    requirement = rules.requirement(shell.parse(text), known)
    decision = decide(requirement, nodes, policy)
    eligible = [each.node for each in decision.candidates if each.eligible]
    return {**decision.to_dict(), "command": text, "heavy": requirement.heavy, "eligible": eligible}


def _node(node: Node, member: Member, members: Sequence[Member], asked: Asked) -> dict[str, Any]:
    blank = replace(asked, job=asked.job | {"id": ""})
    transport = member.transport
    return {
        "slots": node.all_slots,
        "running": node.running,
        "local": node.local,
        "cause": None if node.cause is None else node.cause.to_dict(),
        "transport": transport.to_dict() if isinstance(transport, Transport) else None,
        "job": job_request(member, members, blank, Command(), None),
    }
