"""roles/base/files/bootstrap.ps1, which nothing here can run: it is read, as tree-sitter parses it.

What is shown: it parses, in what Windows PowerShell 5.1 knows; it calls no command and gives none a parameter that
cases/powershell.json does not have from Microsoft's reference; and whatever changes something stands in a block of
Invoke-Step, which asks ShouldProcess, so -WhatIf changes nothing and what is there is left alone. What is not shown:
that Windows does what it is asked for. Each check is also seen to find its fault, in a copy that has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

FILES = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/base/files"
SOURCE = (FILES / "bootstrap.ps1").read_text(encoding="utf-8")
CASES: dict[str, Any] = json.loads((Path(__file__).parent / "cases/powershell.json").read_text())
EVERYTHING_HAS = {"ErrorAction", "WarningAction"}
WSL = {"Invoke-Wsl", "Invoke-Inside", "Test-Inside"}


def parse(source: str) -> Node:
    return Parser(Language(tree_sitter_powershell.language())).parse(source.encode()).root_node


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from below(child)


def above(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def words(node: Node) -> str:
    return (node.text or b"").decode()


def name_of(command: Node) -> str:
    return next(
        words(child) for child in command.children if child.type.startswith(("command_name", "path_command_name"))
    )


def commands(root: Node) -> list[Node]:
    return [node for node in below(root) if node.type == "command"]


def functions(root: Node) -> dict[str, Node]:
    found = (node for node in below(root) if node.type == "function_statement")
    return {words(next(part for part in node.children if part.type == "function_name")): node for node in found}


def parameters(command: Node) -> list[str]:
    elements = [part for child in command.children if child.type == "command_elements" for part in child.children]
    return [words(part).lstrip("-") for part in elements if part.type == "command_parameter"]


def of_5_1(source: str) -> list[str]:
    """Where it is none of Windows PowerShell 5.1; that reads a file without a mark as the code page of the machine."""
    faults = [
        f"line {node.start_point.row + 1}" for node in below(parse(source)) if node.type == "ERROR" or node.is_missing
    ]
    chains = [words(node) for node in below(parse(source)) if node.type == "pipeline_chain_tail"]
    return faults + chains + re.findall(r"[^\x00-\x7f]|\r", source)


def unknown(source: str) -> list[str]:
    root = parse(source)
    own = functions(root)
    known = CASES["reads"] | CASES["changes"] | {"wsl.exe": [], "$Do": []}
    faults = []
    for command in commands(root):
        name = name_of(command)
        if name in known:
            faults += [f"{name} -{word}" for word in parameters(command) if word not in {*known[name], *EVERYTHING_HAS}]
        elif name not in own:
            faults.append(name)
    return faults


def in_step(node: Node) -> bool:
    """Whether it is in the block that Invoke-Step runs, if it runs it."""
    blocks = [up for up in above(node) if up.type == "script_block_expression"]
    return any(name_of(up) == "Invoke-Step" for block in blocks for up in above(block) if up.type == "command")


def looks(command: Node) -> bool:
    """Whether what is asked of WSL, as it stands there, only looks."""
    said = re.findall(r"'([^']*)'", words(command))
    if name_of(command) == "Invoke-Inside" and "'./" not in words(command) and "./$Script" in words(command):
        return said == ["sh", "look", "bring: *"] or said == ["sh", "look"]
    return said in CASES["looks"]


def unasked(source: str) -> list[str]:
    """What changes something, asked or not. Functions that carry words to wsl.exe are judged by the words."""
    root = parse(source)
    carriers = [node for name, node in functions(root).items() if name in WSL]
    faults = []
    for command in commands(root):
        name = name_of(command)
        if in_step(command) or any(up in carriers for up in above(command)):
            continue
        if name in CASES["changes"] or name == "wsl.exe" or (name in WSL and not looks(command)):
            faults.append(f"line {command.start_point.row + 1}: {name}")
    return faults


def pattern(name: str) -> re.Pattern[str]:
    found = re.search(rf"^\${name} = '(.*)'$", SOURCE, re.M)
    assert found, name
    return re.compile(found[1].removesuffix("$") + r"\Z")


@pytest.mark.parametrize("check", [of_5_1, unknown, unasked])
def test_nothing_is_wrong(check: Any) -> None:
    assert check(SOURCE) == []


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (of_5_1, "$ErrorActionPreference = 'Stop'", "$ErrorActionPreference = $null ?? 'Stop'"),
        (of_5_1, "Assert-File\n$Key", "Assert-File && $Key"),
        (of_5_1, "sshd of Windows", "sshd of \N{EN DASH} Windows"),
        (of_5_1, "if ($inner) { Remove", "if ($inner) Remove"),
        (unknown, "Set-Service -Name sshd", "Set-Service -Service sshd"),
        (unknown, "Add-FirewallRule\nAdd-HoldTask", "Add-FirewallRules\nAdd-HoldTask"),
        (unknown, "Start-ScheduledTask -TaskName $TaskName", "schtasks.exe /run"),
        (unasked, "Assert-File\n$Key", "Start-Service -Name sshd\n$Key"),
        (unasked, "{ Invoke-Wsl '--shutdown' }", "{ $null }; Invoke-Wsl '--shutdown'"),
        (unasked, "'look') + $Words", "'do') + $Words"),
        (unasked, "    $capability = Get-", "    & icacls.exe x\n    $capability = Get-"),
        (unasked, "'wslinfo', '--networking-mode'", "'rm', '-rf', '/'"),
    ],
)
def test_a_fault_would_be_found(check: Any, old: str, new: str) -> None:
    assert SOURCE.count(old) >= 1
    assert check(SOURCE.replace(old, new, 1)) != []


def test_a_step_asks_before_it_does() -> None:
    step = words(functions(parse(SOURCE))["Invoke-Step"])
    asked, done = step.index("elseif ($Bootstrap.ShouldProcess($Target, $Action))"), step.index("& $Do")
    assert asked < done
    assert step.count("& $Do") == SOURCE.count("& $Do") == 1
    assert "$Bootstrap = $PSCmdlet\n" in SOURCE
    assert "SupportsShouldProcess = $true" in SOURCE


def test_linux_is_given_an_argv_and_no_shell_reads_it() -> None:
    inside = words(functions(parse(SOURCE))["Invoke-Inside"])
    assert "'--user', 'root', '--exec') + $Words" in inside
    called = [command for command in commands(parse(SOURCE)) if name_of(command) == "wsl.exe"]
    assert [words(command).strip() for command in called] == ["& wsl.exe @Words"]
    assert not re.search(r"'(-c|bash)'", SOURCE)


def test_what_it_needs_lies_beside_it() -> None:
    found = re.search(r"^\$Files = (.*)$", SOURCE, re.M)
    assert found
    named = re.findall(r"'([^']+)'", found[1])
    assert [name for name in named if not (FILES / name).is_file()] == []
    assert {"bootstrap.sh", "wsl.sh"} == set(re.findall(r"Invoke-Script '([^']+)'", SOURCE)) <= set(named)
    needed = set(re.findall(r"\$here/([\w.-]+)", (FILES / "wsl.sh").read_text()))
    assert needed
    assert needed <= set(named)


@pytest.mark.parametrize(("name", "cases"), [("UserPattern", "users"), ("KeyPattern", "keys")])
def test_users_and_keys_are_judged_as_for_other_machines(name: str, cases: str) -> None:
    other = (FILES.parent / "tasks/bootstrap.yml").read_text()
    matches = re.findall(rf"base_bootstrap_{cases[:-1]} is match\('(.*)\$'\)", other)
    assert len(matches) == 1
    for here in (pattern(name), re.compile(matches[0] + r"\Z")):
        assert [text for text in CASES[cases]["accepted"] if not here.match(text)] == []
        assert [text for text in CASES[cases]["refused"] if here.match(text)] == []
