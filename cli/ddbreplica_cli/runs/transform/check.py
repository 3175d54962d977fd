"""Run `ddbreplica transform check`: check a transform, and show what it makes of sample items."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import AttentionError
from ddbreplica.records.text import lines
from ddbreplica.transform.parse import MAX_BYTES, parse
from ddbreplica.transform.rules import Rules
from ddbreplica.transform.transform import Transform
from ddbreplica_cli.runs.transform.deployable import samconfig_line
from ddbreplica_cli.runs.transform.document import parameter_of, refusals_of
from ddbreplica_cli.runs.transform.samples import Sample, of_event, of_source
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.options import Options

_HASH = "(hash)"
_LINE = "Line for parameter_overrides in samconfig.toml:"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A transform that is valid, as the text of a parameter and as rules."""

    text: str
    rules: Rules

    def for_key(self, names: Collection[str]) -> Transform:
        return Transform(self.rules, key=names, hash_with=lambda _: _HASH)


def run(options: Options, *, file: Path, event: Path | None, limit: int) -> None:
    """Check the transform, apply it to the samples, and print the result."""
    with refusals_of(file):
        text = parameter_of(file)
        checked = _Checked(text, parse(text))
        samples = [*_of_event(event, checked), *_of_table(options, limit, checked)]
    has_key = bool(samples) or _names_table(options)
    facts = {**_document(checked), "key_checked": has_key, "samples": [each.document() for each in samples]}
    refused = sum(sample.replica is None for sample in samples)
    if not refused or not options.as_json:
        # With --json the error below has the samples, and stdout gets one document, not two.
        output.print_result(facts, _text(checked, samples, has_key=has_key), as_json=options.as_json)
    if refused:
        raise AttentionError(
            f"{refused} of {len(samples)} items cannot be transformed.",
            hint="change the rule, or the values at the source.",
            facts=facts,
        )


def _of_event(event: Path | None, checked: _Checked) -> Sequence[Sample]:
    return () if event is None else of_event(event, checked.for_key)


def _of_table(options: Options, limit: int, checked: _Checked) -> Sequence[Sample]:
    return of_source(Connection(options), limit, checked.for_key) if _names_table(options) else ()


def _names_table(options: Options) -> bool:
    return bool(options.source or options.stack_name)


def _document(checked: _Checked) -> dict[str, Any]:
    return {
        "transform": checked.text,
        "bytes": len(checked.text),
        "max_bytes": MAX_BYTES,
        "digest": checked.rules.digest(),
        "samconfig": samconfig_line(checked.text),
    }


def _text(checked: _Checked, samples: Sequence[Sample], *, has_key: bool) -> str:
    digest = "Digest without the secret" if checked.rules.hashed else "Digest"
    head = [
        f"The transform is valid. It has {len(checked.text):,} of {MAX_BYTES:,} bytes.",
        f"{digest}: {checked.rules.digest()}",
    ]
    if not has_key:
        head.append(
            "The key attributes are not known: give --event or --source to check the rules with them."
        )
    line = [_LINE, f"  {samconfig_line(checked.text)}"]
    if checked.rules.hashed:
        line += ["Set TransformSecretArn and TransformSecretVersion as well, since it has a hash."]
    if checked.rules.hashed and samples:
        line += ["", f"{_HASH} is shown in place of a hash of 64 digits, since the secret is not read."]
    return lines([*head, "", *line, *(text for each in samples for text in ("", *each.lines()))])
