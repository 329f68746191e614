"""Ten hosts provisioned that share no processor with each other or the controller, as the machines of a fleet do not.

Each is 20 ms away and has a tenth of a core, so that on two cores one is left to the controller.
"""

from __future__ import annotations

from tests.bench.contest import LEAST
from tests.bench.provision import clear, contest, standing
from tests.bench.results import Results
from tests.lab.host import Host

SHARE, ROUND_TRIP_MS = 0.1, 20


def run(results: Results) -> None:
    with standing() as here:
        here.lab.each(_set_apart)
        contest(here, results, "apart", {"first": clear}, LEAST)


def _set_apart(host: Host) -> None:
    host.slow(SHARE)
    host.delay(ROUND_TRIP_MS)
