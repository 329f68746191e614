# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs that run another command given among their words, and how to find it there.

Each line of the table: the program and its subcommands, a colon, its options that take the next word; then, each
after a semicolon, what else there is to know, in the words of :class:`Wrapper`. A program that runs something
elsewhere (ssh, docker run, kubectl exec) is no wrapper.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How to find what a program would run among its words.

    `path`: its subcommands (`uv run`). `values`: options that take the next word. `text`: options whose value
    is a shell text. `starts`: options after which the command begins. `chdir`: options whose value is the
    directory. `quits`: options with which it runs nothing. `operands`: words before the command. `dashes`:
    the command begins only after `--`. `joined`: the words are one shell text. `each`: every word is one.
    `assigns`: NAME=VALUE may come first. `keeps`: it does work of its own too.
    """

    path: tuple[str, ...]
    values: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()
    chdir: frozenset[str] = frozenset()
    quits: frozenset[str] = frozenset()
    operands: int = 0
    dashes: bool = False
    joined: bool = False
    each: bool = False
    assigns: bool = False
    keeps: bool = False


_TABLE = """
sudo: -u -g -p -C -h -r -t -T -U -R -D --user --group --prompt --close-from --host --role --type --chroot
  --chdir --other-user --command-timeout; assigns; chdir -D --chdir; quits -l -v -e -k -K -V --list --edit
doas: -u -C; quits -L
pkexec: --user
su: -g -G -s -w --shell --group; text -c --command; operands 99
runuser: -u -g -G -s -w --user --group --shell; text -c --command
gosu: ; operands 1
su-exec: ; operands 1
setpriv: --reuid --regid --groups
sshpass: -f -d -p -P
env: -u --unset -C --chdir -S --split-string --argv0 -a; text -S --split-string; chdir -C --chdir; assigns
nice: -n --adjustment
gnice: -n --adjustment
ionice: -c -n --class --classdata -p -P -u; quits -p -P -u
nohup:
setsid:
stdbuf: -i -o -e --input --output --error
gstdbuf: -i -o -e
time: -f -o --format --output; assigns
gtime: -f -o --format --output
coproc: ; assigns
timeout: -k -s --kill-after --signal; operands 1
gtimeout: -k -s --kill-after --signal; operands 1
chronic:
ifne:
grc: -c
pump:
sem: -j --id --jobs
run-one:
lckdo: ; operands 1
setlock: ; operands 1
nq:
tsp: -N -L -D -S; quits -l -C -K -c -t
pueue add: -g -w -d -a -l --group --working-directory --delay --after --label; chdir -w --working-directory
caffeinate: -t -w
command: ; quits -v -V
builtin:
exec: -a
xargs: -I -n -P -L -d -a -E -s -J -R -S --max-args --max-procs --max-lines --delimiter --arg-file --replace
flock: -w -E --wait --timeout --conflict-exit-code; operands 1; text -c --command
watch: -n --interval -q --equexit; joined
unbuffer:
script: -I -O -B -T -m -o -E -F -t; operands 1; text -c --command
strace: -e -o -p -s -u -E -P -I -a -b -O -S -U -X --output --trace; quits -p
ltrace: -e -o -p -s -u -a -l -n -A -D -F -x; quits -p
perf stat: -e -o -C -p -t -r -G -x -I; quits -p
perf record: -e -o -C -p -t -F -c -G --call-graph; quits -p
perf trace: -e -o -p -t; quits -p
valgrind:
heaptrack: -o
rr record:
uftrace record: -d -F -N
samply record: -o -r
flamegraph: -o; dashes
py-spy record: -o -d -r -f; dashes
memray run: -o
gdb: -x -ex -p; starts --args
lldb: -o -s -p; dashes
hyperfine: -w -r -m -M -p -c -s -i -n -S -L -P --warmup --runs --min-runs --prepare --cleanup --setup --shell
  --export-json --export-markdown --export-csv --command-name --parameter-list --parameter-scan; each
taskset: -p; operands 1; quits -p
chrt: -p -T -P -D; operands 1; quits -p
numactl: -m -N -C -p -i -l -w --membind --cpunodebind --physcpubind --interleave
  ; quits -s -H --show --hardware
cpulimit: -l -p -e; quits -p -e
setarch:
linux32:
linux64:
faketime: -f; operands 1
trickle: -d -u -w -t -l -L -n
retry: -t -d -m -s --times --delay --tries
prlimit: -p --pid -o; quits -p --pid
cgexec: -g
systemd-run: -p -u -E -H -M -d -t -P -G --unit --property --description --slice --uid --gid --setenv --nice
  --working-directory --on-active --on-boot --on-calendar; chdir --working-directory
systemd-cat: -t -p --identifier --priority
systemd-inhibit: --what --who --why --mode
unshare: -S -G -R -w --root --wd --setuid --setgid
nsenter: -t -S -G --target --setuid --setgid
chroot: ; operands 1
fakeroot: -l -s -i -b
fakechroot:
firejail:
eatmydata:
dbus-run-session: --config-file
xvfb-run: -s -n -e -f -p -w --server-args --server-num --error-file --auth-file
distrobox enter: -n --name; operands 1
toolbox run: -c --container -d --distro -r --release
proxychains: -f
proxychains4: -f
torsocks: -a -u -p -P
torify:
tini: -p -e
dumb-init:
busybox:
toybox:
arch: -e -d; quits -h
xcrun: --sdk -sdk --toolchain -toolchain
  ; quits -f -find --find --show-sdk-path --show-sdk-version --kill-cache
sandbox-exec: -f -p -n -D
rlwrap: -a -b -c -f -H -s -t -w
ccache: -k -M -F -o --set-config --get-config --max-size
  ; quits -s -c -C -z -p -x --show-stats --clear --cleanup
sccache: ; quits -s -z --show-stats --start-server --stop-server --zero-stats
distcc: ; quits --show-hosts -j
icecc:
buildcache: ; quits -s -z
bear: -o --output --config
compiledb: -o -p -f
intercept-build: --cdb
scan-build: -o -enable-checker -disable-checker --use-cc --use-c++
emmake:
emcmake:
emconfigure:
checkinstall: --pkgname --pkgversion
entr: -s; text -s
watchexec: -e -w -i -f -d -s --exts --watch --ignore --filter --debounce --signal
nodemon: -w -e -d -i --watch --ext --delay --ignore -x --exec; text -x --exec
concurrently: -n -c -k -p --names --prefix-colors --prefix --max-processes -m; each
nyc: --reporter -r --report-dir --temp-dir --include --exclude -x -n; quits --help
c8: --reporter -r --reports-dir --include --exclude -x -n
percy exec: ; dashes
reflex: -r -g -R -G -d; dashes
asciinema rec: -c --command -t -i; text -c --command; operands 99
cross-env: ; assigns
cross-env-shell: ; assigns; joined
env-cmd: -f -e -r --file --environments
dotenv: -e -f -c -v -p -o
dotenvx run: -f --env-file -e --env
op run: --env-file --account
doppler run: -p -c -t --project --config --token --command; text --command; dashes
infisical run: --env --path --projectId; dashes
teller run:
chamber exec: ; dashes
aws-vault exec: -d --duration -n; operands 1
envchain: ; operands 1
sops exec-env: ; operands 1; joined
direnv exec: ; operands 1
envdir: ; operands 1
ssh-agent: -a -t -E; quits -k
rbenv exec:
pyenv exec:
nodenv exec:
goenv exec:
asdf exec:
nvm exec: ; operands 1
fnm exec: --using --fnm-dir
volta run: --node --npm --yarn
rustup run: ; operands 1
mise exec: -C -j --cd; dashes; text -c --command
mise x: -C -j --cd; dashes; text -c --command
opam exec: --switch --root
stack exec: --resolver --package --stack-yaml
cabal exec: --project-file
npx: -p --package -c --call -w --workspace; text -c --call
npm exec: -p --package -c --call -w --workspace --prefix; text -c --call
npm x: -p --package -c --call -w --workspace --prefix; text -c --call
pnpm exec: -F --filter -C --dir -c
pnpm dlx: --package
pnpx: --package
yarn exec: --cwd
yarn dlx: -p --package
bunx: -p --package
bun x: -p --package
bundle exec: --gemfile
composer exec: -d --working-dir
poetry run: -C -P --directory --project; chdir -C --directory
pipenv run:
pdm run: -p --project -e --env-file -s --site-packages
rye run: --pyproject
hatch run: -e --env
pixi run: -e --environment --manifest-path -m
conda run: -n -p --name --prefix --cwd; chdir --cwd
mamba run: -n -p --name --prefix --cwd; chdir --cwd
micromamba run: -n -p --name --prefix --cwd; chdir --cwd
uv run: --with --with-requirements --with-editable -p --python --extra --group --only-group --no-group
  --env-file --directory --project --package --index --index-url --default-index --index-strategy -C -P
  --config-setting --upgrade-package --link-mode --color --config-file --cache-dir --refresh-package
  -m --module
  ; starts -m --module; chdir --directory
uvx: --from --with -p --python --index --index-url --default-index
uv tool run: --from --with -p --python --index --index-url
pipx run: --spec --python --pip-args
coverage run: --source --omit --include --rcfile --context --data-file --concurrency -m --module
  ; starts -m --module
kernprof: -o -p
nix-shell: -p -A -E -I --packages --attr --argstr --arg; text --run --command; operands 99
nix develop: -c --command --override-input --profile; starts -c --command; operands 99
nix shell: -c --command --override-input; starts -c --command; operands 99
guix shell: -m -D -f -e -L --manifest --development; dashes
guix environment: -l -e -L; dashes
devbox run: -c --config -e --env
git bisect run: -C -c
git submodule foreach: -C -c; joined
git rebase: -x --exec -C -c --onto -s -X; text -x --exec; keeps; operands 99
tmux new-session: -s -n -c -t -x -y -F -e -f; joined
tmux new: -s -n -c -t -x -y -F -e -f; joined
tmux new-window: -n -c -t -F -e; joined
tmux split-window: -c -t -l -F -e; joined
screen: -S -c -h -p -s -t -T -L -e; quits -ls -list -r -x -X -wipe
wait-for-it.sh: -h -p -t; operands 1; dashes
trap: ; each
eval: ; joined
"""


@cache
def wrappers() -> dict[str, tuple[Wrapper, ...]]:
    """By program, those with the longest path first."""
    found: dict[str, list[Wrapper]] = {}
    for line in re.sub(r"\n +", " ", _TABLE.strip()).splitlines():
        wrapper = _wrapper(line)
        found.setdefault(wrapper.path[0], []).append(wrapper)
    return {name: tuple(sorted(each, key=lambda w: -len(w.path))) for name, each in found.items()}


def _wrapper(line: str) -> Wrapper:
    path, _colon, rest = line.partition(":")
    values, *parts = [part.split() for part in rest.split(";")]
    said = {name: words for name, *words in parts}
    valued = [*values, *said.get("text", ()), *said.get("chdir", ())]
    return Wrapper(
        path=tuple(path.split()),
        values=frozenset(valued),
        text=frozenset(said.get("text", ())),
        starts=frozenset(said.get("starts", ())),
        chdir=frozenset(said.get("chdir", ())),
        quits=frozenset(said.get("quits", ())),
        operands=int(said.get("operands", ["0"])[0]),
        dashes="dashes" in said,
        joined="joined" in said,
        each="each" in said,
        assigns="assigns" in said,
        keeps="keeps" in said,
    )
