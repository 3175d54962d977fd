"""The steps of the demo in their order, and what they measure."""

from dataclasses import dataclass

from rich.console import Console

from demo.adopting import Adopted, adopt, copy_items
from demo.embedded import EmbeddedAws
from demo.lag import Lag
from demo.refusing import redrive, refuse
from demo.replicating import ROWS, change, deploy, load, measure_lag, prove, query
from demo.tampering import tamper_and_repair
from demo.transforming import transform


@dataclass(frozen=True, slots=True)
class Figures:
    """The measured figures. Seconds until equal begin with the response to the last write to the source."""

    rows: int
    changes: int
    equal_after_load: float
    equal_after_changes: float
    lag: Lag
    redriven: int
    repaired: int
    adopted: Adopted


def run_steps(aws: EmbeddedAws, console: Console) -> Figures:
    """Run all steps and return the figures. Raises DidNotHoldError at the first check that fails."""
    stage = deploy(aws, console)
    existing = adopt(stage)
    equal_after_load = load(stage)
    lag = measure_lag(stage)
    changed, equal_after_changes = change(stage)
    query(stage)
    refused = refuse(stage)
    redriven = redrive(stage, refused)
    prove(stage)
    repaired = tamper_and_repair(stage)
    transform(stage)
    adopted = copy_items(existing)
    changes = ROWS + lag.items + changed + refused.changes
    return Figures(ROWS, changes, equal_after_load, equal_after_changes, lag, redriven, repaired, adopted)
