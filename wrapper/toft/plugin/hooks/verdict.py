"""What the hook says of a command that names a program of the table; see elsewhere.py, which asks first."""

import posix

OLDEST_S = 7 * 86400
LONGEST = 4000
# Harmless beside the command that is sent away: they only go somewhere, say something or cut output short.
BESIDE = frozenset("cd echo printf tail head grep wc true sort uniq cut tr cat set time test [".split())  # noqa: SIM905
QUIET = ("2>&1", "1>&2", ">&2", "2>/dev/null", ">/dev/null", "&>/dev/null", "2> /dev/null", "> /dev/null", "</dev/null")


class Doubt(Exception):
    """There is more in the line than this reader knows."""


class Reader:
    """A line as simple commands. By hand: the module re costs more than all the rest of this."""

    def __init__(self, text):
        self.text = text
        self.found = []
        self.words = []
        self.word = None

    def commands(self):
        """Each as a list of words. Raises Doubt."""
        at = 0
        while at < len(self.text):
            at = self.step(at, self.text[at])
        self.end()
        return self.found

    def step(self, at, sign):
        """Takes what stands at `at`; answers where to go on."""
        if sign in " \t":
            return self.after_word(at + 1)
        if sign in ";\n|&<>" or (self.word is None and sign in "12" and self.text[at + 1 : at + 2] == ">"):
            return self.operator(at, sign)
        if sign in "(){}`![]" or (sign in "#~" and self.word is None):
            raise Doubt
        if sign in "'\"":
            return self.quoted(at, sign)
        if sign == "$":
            return self.variable(at)
        if sign == "\\":
            at += 1
            if self.text[at : at + 1] in ("", "\n"):
                raise Doubt
        return self.put(self.text[at], at + 1)

    def put(self, text, following):
        self.word = (self.word or "") + text
        return following

    def after_word(self, following):
        if self.word is not None:
            self.words.append(self.word)
            self.word = None
        return following

    def end(self):
        self.after_word(0)
        if self.words:
            self.found.append(self.words)
            self.words = []

    def operator(self, at, sign):
        for quiet in QUIET:
            if self.text.startswith(quiet, at):
                return self.after_word(at + len(quiet))
        two = self.text[at : at + 2]
        if sign in "<>12" or (sign == "&" and two != "&&"):
            raise Doubt
        self.end()
        return at + (2 if two in ("&&", "||", "|&") else 1)

    def quoted(self, at, quote):
        close = at + 1
        while self.text[close : close + 1] not in (quote, ""):
            close += 2 if quote == '"' and self.text[close] == "\\" else 1
        inner = self.text[at + 1 : close]
        if close >= len(self.text) or (quote == '"' and ("`" in inner or "$(" in inner)):
            raise Doubt
        return self.put(inner, close + 1)

    def variable(self, at):
        if self.text.startswith("$(nproc)", at):
            return self.put("$(nproc)", at + 8)
        if not self.text[at + 1 : at + 2].isidentifier():
            raise Doubt
        return self.put("$", at + 1)


def commands(text):
    """None if it is in doubt."""
    try:
        return Reader(text).commands()
    except Doubt:
        return None


def is_assignment(word):
    return word.partition("=")[0].isidentifier() and "=" in word


def needs(words, table):
    """Why these words belong elsewhere: "" if they do not, None if that is in doubt."""
    while words and is_assignment(words[0]):
        if words[0].startswith("TOFT_"):
            return None
        words = words[1:]
    if not words or words[0] in BESIDE:
        return ""
    program = words[0].rsplit("/", 1)[-1]
    if program == "toft" or program in table["wrappers"]:
        return None
    rules = [table["rules"][number] for number in table["programs"].get(program, ())]
    syntax = table["syntax"][table["read"][program]] if program in table["read"] else {}
    operands, options = arranged(words[1:], syntax)
    return next((rule["why"] for rule in rules if applies(rule, operands, options)), "")


def arranged(words, syntax):
    """Operands and options apart, as the program would read them."""
    values, skip = syntax.get("values", ()), syntax.get("skip")
    operands, options, at, ended = [], [], 0, False
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" and not ended:
            ended = True
        elif not ended and (word in values or (word.startswith("-") and len(word) > 1)):
            options += [word, word.split("=", 1)[0]]
            options += [word + "=" + words[at]] if at < len(words) else []
            at += word in values
        elif not (skip and fits(skip, word)):
            operands.append(word)
    return operands, options


def applies(rule, operands, options):
    """Every condition holds; of `unless`, nothing even looks as if it did."""
    if "--help" in options or "--version" in options:
        return False
    if rule.get("subcommands") is not None and not phrase(rule["subcommands"], operands):
        return False
    if rule.get("arguments") and not some(rule["arguments"], operands):
        return False
    if rule.get("flags") and not some(rule["flags"], options):
        return False
    if rule.get("not_subcommands") and phrase(rule["not_subcommands"], operands):
        return False
    if rule.get("only") and operands and all(fits(rule["only"], each) for each in operands):
        return False
    return not (rule.get("not_words") and some(rule["not_words"], operands + options + clusters(options)))


def clusters(options):
    """-kn as -k and -n."""
    short = [each for each in options if each[:2] != "--" and len(each) > 2 and each[1:3].isalpha()]
    return ["-" + letter for each in short for letter in each[1:]]


def fits(pattern, word):
    """`pattern` is [plain words, a regular expression or None]."""
    plain, expression = pattern
    if word in plain or not expression:
        return word in plain
    import re

    return bool(re.match(expression, word))


def some(pattern, words):
    return any(fits(pattern, word) for word in words)


def phrase(phrases, operands):
    return any(
        (not operands) if not each else len(operands) >= len(each) and all(map(fits, each, operands))
        for each in phrases
    )


def verdict(text, table):
    """What to say instead of running `text` here; None lets it run."""
    if len(text) > LONGEST or "toft" in text:
        return None
    found = commands(text)
    if not found:
        return None
    reasons = []
    for words in found:
        why = needs(words, table)
        if why is None or (why == "" and words[0] not in BESIDE):
            return None
        reasons += [why] if why else []
    if not reasons:
        return None
    here = f"what it writes stays on that node; to run it here all the same: TOFT_HOOK=off {text}"
    return f"{reasons[0]} Run: {instead(text, found, table.get('toft', 'toft'))} ({here})"


def instead(text, found, toft):
    simple = all(sign.isalnum() or sign in "@%+=:,./_ -" for sign in text)
    plain = len(found) == 1 and simple and not is_assignment(found[0][0])
    return toft + (" offload -- " + text.strip() if plain else " offload --shell -- " + quoted(text))


def quoted(text):
    return "'" + text.replace("'", "'\"'\"'") + "'"


def fresh(table, now):
    if now - table["made_at"] > OLDEST_S:
        return False
    for path, changed in table["made_from"]:
        try:
            if posix.stat(path).st_mtime_ns != changed:
                return False
        except OSError:
            if changed is not None:
                return False
    return True
