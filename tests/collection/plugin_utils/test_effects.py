import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.effects import effects
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse


def touched(command: str) -> set[str]:
    """`w:path:x` for a write, `r:path:x` for a read; programs left out."""
    found = effects(parse(command))
    return {
        f"{'w' if each.write else 'r'}:{each.resource.kind}:{each.resource.name}"
        for each in found
        if each.resource.kind != "program"
    }


@pytest.mark.parametrize(
    ("command", "some"),
    [
        ("sort a.txt > b.txt", {"r:path:a.txt", "w:path:b.txt"}),
        ("cd api && make > log 2>&1", {"w:path:api/log", "w:output:api", "r:entry:api"}),
        ("cp a.txt out/", {"r:path:a.txt", "w:path:out/a.txt"}),
        ("cp -r a b", {"r:path:a", "w:path:b"}),
        ("tar xzf a.tgz -C /srv", {"r:path:/srv/a.tgz"}),
        ("tar -czf a.tgz dir", {"w:path:a.tgz", "r:path:dir"}),
        ("gcc -Wall -c src/foo.c", {"r:path:src/foo.c", "w:path:foo.o"}),
        ("gcc -o app main.c -lm", {"w:path:app", "r:path:main.c"}),
        ("dd if=a of=b bs=1M", {"r:path:a", "w:path:b"}),
        ("make -j8 -C lib all", {"w:output:lib"}),
        ("sudo docker build -t a:1 -f D sub", {"w:image:a:1", "r:context:sub", "r:path:D"}),
        ("docker run -d --name x -p 8080:80 img cmd -t y", {"w:container:x", "w:port:8080", "r:image:img:latest"}),
        (".venv/bin/pip install x", {"w:pyenv:.venv", "r:path:.venv/bin/pip"}),
        ("python -m pytest --junitxml=r.xml", {"w:path:r.xml", "r:pyenv:default"}),
        ("curl -o x http://localhost:9/y", {"w:path:x"}),
        ("curl http://127.0.0.1:9000/y", {"r:port:9000"}),
        ("systemctl start nginx", {"w:service:nginx", "w:port:80"}),
        ("git clone https://h/x/app.git", {"w:path:app"}),
        ("git -C sub pull", {"w:git:sub", "w:sources:sub"}),
        ("PORT=4000 npm start", {"w:port:4000"}),
        ("foo --out x.bin in.dat", {"w:path:x.bin", "r:path:in.dat"}),
        ("conv.py a.csv b.json", {"r:path:a.csv", "w:path:b.json"}),
        ("sed -i s/a/b/ x.txt", {"w:path:x.txt", "r:path:x.txt"}),
        ("sed s/a/b/ x.txt", {"r:path:x.txt"}),
    ],
)
def test_what_is_touched(command: str, some: set[str]) -> None:
    assert some <= touched(command)


@pytest.mark.parametrize("command", ["echo make > /dev/null", "sleep 8", "echo 'a > b'", "ssh host make", "true"])
def test_what_touches_nothing_here(command: str) -> None:
    assert touched(command) == set()


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("sed s/a/b/ x.txt", "w:path:x.txt"),
        ("scp a host:/tmp/b", "w:path:host:/tmp/b"),
        ("grep main x.c", "r:path:main"),
        ("make 2>&1", "w:path:1"),
        ("docker run img touch x", "w:path:x"),
        ("pytest > $(mktemp)", "w:path:$(mktemp)"),
    ],
)
def test_what_is_not(command: str, never: str) -> None:
    assert never not in touched(command)
