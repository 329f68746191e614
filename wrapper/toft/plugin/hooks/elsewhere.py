"""PreToolUse hook: does this Bash command belong on another node, and what is to be typed instead?

It runs before every Bash command of an agent, so it may cost next to nothing: `toft plugin hook on` writes down
in advance which programs this machine should not run (the routing rules, reduced to what is better done
elsewhere in this fleet). Here that table is only looked up: its first line names the programs, and for most
commands nothing more is read, and nothing imported that Python does not have in itself. No table: switched off.

Whatever is not certain is allowed: a line that the small reader (verdict.py) does not understand, a table that
is older than what it was made from, any error. It never sends away what already names toft, and `TOFT_HOOK=off`
before a command keeps it here.
"""

import _json
import posix
import sys
import time


def mentions(text, programs):
    """Whether one of the programs is in the line at all."""
    for sign in "&|;()`'\"/\n\t":
        text = text.replace(sign, " ")
    return not set(programs.split()).isdisjoint(text.split(" "))


class Plain:
    """What the scanner wants to be told."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int

    def __init__(self):
        self.memo = {}


def value(text):
    """JSON without the package json, which brings re along: a third of the time that there is."""
    try:
        return _json.make_scanner(Plain())(text.strip(), 0)[0]
    except Exception:
        import json

        return json.loads(text)


def table_path(env):
    given, home = env.get(b"XDG_STATE_HOME", b""), env.get(b"HOME", b"")
    return (given if given.startswith(b"/") else home + b"/.local/state") + b"/toft/hook.json"


def answer(file, call):
    """The reason to deny the call, or None."""
    text = call["tool_input"]["command"] if call["tool_name"] == "Bash" else ""
    if not mentions(text, file.readline()):
        return None
    sys.path.insert(0, __file__.rpartition("/")[0])
    import verdict

    table = value(file.read())
    return verdict.verdict(text, table) if verdict.fresh(table, time.time()) else None


def main():
    try:
        with open(table_path(posix.environ), encoding="utf-8") as file:
            said = answer(file, value(sys.stdin.buffer.read().decode()))
    except Exception:
        return
    if said:
        reason = _json.encode_basestring_ascii(said)
        told = f'"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":{reason}'
        sys.stdout.write(f'{{"hookSpecificOutput":{{{told}}}}}')


if __name__ == "__main__":
    main()
