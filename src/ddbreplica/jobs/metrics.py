"""Emit the metrics of jobs, with the dimensions of those that the replicator emits itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ddbreplica.driver import Note
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.metrics import own_dimensions, own_namespace


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one replication in CloudWatch."""

    namespace: str
    dimensions: Mapping[str, str]

    @classmethod
    def of(cls, mapping: MappingState, replica: str) -> "Metrics":
        """Return the metrics of the mapping's function. `replica` is the name of the replica table."""
        return cls(own_namespace(mapping), own_dimensions(mapping, replica))

    def publish(self, values: Mapping[str, float], *, note: Note) -> None:
        """Write values by the metrics' names as one line of the log. If that fails, note it: the work was done."""
        try:
            self._write(values)
        except Exception as error:  # noqa: BLE001  the task would be tried again, although it was done
            note(f"The metrics could not be written: {type(error).__name__}.")

    def _write(self, values: Mapping[str, float]) -> None:
        service = self.dimensions["service"]
        metrics = EphemeralMetrics(service=service, namespace=self.namespace)
        for name, value in self.dimensions.items():
            if name != "service":  # Powertools adds it
                metrics.add_dimension(name=name, value=value)
        for name, number in values.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=number)
        metrics.flush_metrics()
