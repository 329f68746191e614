from html.parser import HTMLParser

from toft.fleet.timeline import Bar, page, text

BARS = [
    Bar(1, "n1", "make", 0.0, 4.0, "ok"),
    Bar(2, "pi", "test", 4.0, 8.0, "failed"),
    Bar(3, "n1", "x", 8.0, 8.0, "ok"),
]


class Seen(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_bars_stand_where_their_time_is() -> None:
    first, second, third = text(BARS, 60)
    bar = [line.split("|")[1] for line in (first, second, third)]
    half = len(bar[0]) // 2
    assert bar[0].rstrip().strip("█") in ("", "▌")
    assert abs(len(bar[0].rstrip()) - half) <= 1
    assert abs(len(bar[1]) - len(bar[1].lstrip()) - half) <= 1
    assert bar[2].strip(), "what took no time is seen, too"
    assert all(len(line) <= 60 for line in (first, second, third))


def test_the_page_says_all_and_loads_nothing() -> None:
    seen = Seen(page(BARS, "3 of 3", ["2 after 1: why"]))
    assert not {"script", "link", "img", "iframe", "object"} & set(seen.tags)
    assert not {"src", "href", "onclick", "onerror"} & {name for name, _ in seen.attributes}
    assert {"make", "3 of 3", "2 after 1: why"} <= set(seen.words)
    styles = [value for name, value in seen.attributes if name == "style"]
    assert styles[1] == "margin-left:50.00%;width:50.00%"


def test_other_peoples_text_stays_text() -> None:
    evil = '<script>alert(1)</script>" onmouseover="x\' \x1b[2J\udcff'
    seen = Seen(page([Bar(1, "<b>n</b>", evil, 0, 1, "ok")], evil, [evil]))
    assert "script" not in seen.tags
    assert "b" not in seen.tags
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert "\x1b" not in page([Bar(1, "n", evil, 0, 1, "ok")], "", [])


def test_nothing_at_all_is_an_empty_table() -> None:
    assert text([], 80) == []
    assert "<table>" in page([], "nothing", [])
