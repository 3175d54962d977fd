"""Remove each rule that prevents a hazard from the code, one at a time: the tests of the hazard must then fail.

A rule is found by the form of its code, whatever the names of the variables are. A rule whose form is no longer found
is an error, so that no rule is lost unnoticed.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from inspect import Parameter, signature, unwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ddbreplica import errors, handler, settings
from ddbreplica.aws import refusal
from ddbreplica.backfill import pages, windows
from ddbreplica.bucket import earlier_table, object_format, quarantine
from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb import scan, send, table
from ddbreplica.errors import QuarantineError, UnreportableError
from ddbreplica.jobs.redrive import run as scheduled_run
from ddbreplica.mapping import key_filter, preflight, safeguards
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.reconcile import (
    algorithm,
    journal,
    journal_format,
    reconciler,
    requests_under_way,
    rescan,
)
from ddbreplica.records import decode, schema
from ddbreplica.redrive import objects
from ddbreplica.replicate import telemetry, write
from ddbreplica.settings import Settings
from ddbreplica.transform import batch, transform
from ddbreplica.verify import repair
from ddbreplica.verify.compare import comparison, merge
from ddbreplica.verify.confirm import confirm, decision, look, plan, rounds, seen, watch
from ddbreplica.verify.result import verdict
from tests.functional.commands import test_archive, test_verify
from tests.functional.commands import test_key_filter as test_filtered_commands
from tests.functional.dynamodb import test_table
from tests.functional.reconcile import test_reconciler
from tests.support import template
from tests.support.taken_out import Source
from tests.unit import test_hazards as hazards
from tests.unit.backfill import test_pages, test_windows
from tests.unit.bucket import test_object_format
from tests.unit.dynamodb import test_scan
from tests.unit.jobs.redrive import test_run as test_scheduled
from tests.unit.jobs.redrive import test_run_bound
from tests.unit.mapping import test_key_filter, test_preflight, test_safeguards
from tests.unit.reconcile import test_algorithm, test_journal
from tests.unit.verify import test_repair
from tests.unit.verify.confirm import test_confirm, test_decision, test_flipping, test_look

Test = Callable[..., None]

RED = (AssertionError, pytest.fail.Exception)  # `pytest.raises` raises the latter if no error was raised

HAZARD_TESTS: tuple[ModuleType, ...] = (
    hazards,
    test_algorithm,
    test_safeguards,
    test_table,
    test_pages,
    test_repair,
    test_archive,
    test_filtered_commands,
    test_verify,
    test_key_filter,
    test_object_format,
    test_journal,
    test_reconciler,
    test_preflight,
    test_scan,
    test_windows,
    test_confirm,
    test_decision,
    test_flipping,
    test_look,
    test_run_bound,
    test_scheduled,
)
"""The modules that contain tests of hazards."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that prevents a hazard: a part of a function or a file, its replacement, and the tests that then fail."""

    hazard: int
    name: str
    where: Any
    line: str
    without: str
    noticed_by: tuple[Test, ...]
    raising: type[Exception] | tuple[type[BaseException], ...] = RED
    given: tuple[str, ...] = ()


RULES = (
    Rule(
        1,
        "poison is kept only after the last write",
        handler.replicate,
        "outcome = write(...)",
        "to.quarantine.keep(decoded.poison, (), before=None, puts_applied=1,"
        " request_id=context.aws_request_id, deadline=deadline)\noutcome = write(...)",
        (
            hazards.test_nothing_is_quarantined_before_every_write_has_ended,
            hazards.test_nothing_is_quarantined_after_the_reported_record,
        ),
        given=("decoded = decode(...)", "deadline = to.deadline(context)"),
    ),
    Rule(
        1,
        "only poison before the reported record is kept",
        quarantine.Quarantine.keep,
        "first is None or record.position < first.position",
        "True",
        (hazards.test_nothing_is_quarantined_after_the_reported_record,),
    ),
    Rule(
        2,
        "every put of a quarantined record has a new name",
        quarantine.Quarantine._name,
        "secrets.token_hex(8)",
        "0",
        (hazards.test_a_repeated_batch_never_overwrites_what_it_quarantined_before,),
        raising=UnreportableError,
    ),
    Rule(
        2,
        "S3 is asked not to overwrite",
        quarantine.Quarantine._stored,
        'client.put_object(..., IfNoneMatch="*")',
        "client.put_object(...)",
        (hazards.test_a_repeated_batch_never_overwrites_what_it_quarantined_before,),
        raising=QuarantineError,
    ),
    Rule(
        3,
        "after poison the key's previous image is written",
        write._Writer.judge,
        "return [previous for each in refused if (previous := fall_back(each))]",
        "return []",
        (
            partial(hazards.test_a_good_image_is_not_lost_before_a_poison_one_wherever_the_batch_is_cut, 1),
            partial(hazards.test_a_good_image_is_not_lost_before_a_poison_one_wherever_the_batch_is_cut, 3),
        ),
    ),
    Rule(
        3,
        "a failure reports the oldest change of its write",
        write._failure,
        "Failure(change.oldest.position, change.oldest.sequence_number, why)",
        "Failure(change.change.position, change.change.sequence_number, why)",
        (hazards.test_a_good_image_is_not_lost_if_the_poison_one_after_it_first_fails_transiently,),
    ),
    Rule(
        4,
        "a table without the records' key is a fault",
        schema.check,
        "if key_schema != table.key_schema: ...",
        "if False: ...",
        (
            hazards.test_a_whole_stream_is_not_quarantined_for_a_wrong_table,
            hazards.test_a_whole_stream_is_not_quarantined_for_a_table_that_was_replaced,
        ),
    ),
    Rule(
        4,
        "the table is described again before any record is poison",
        write._Writer.judge,
        "_check_table(refused, self._replica, self._deadline, refresh=True)",
        "_check_table(refused, self._replica, self._deadline, refresh=False)",
        (
            hazards.test_a_whole_stream_is_not_quarantined_for_a_table_that_was_replaced,
            hazards.test_nothing_is_poison_while_the_table_is_not_active,
        ),
    ),
    Rule(
        4,
        "describing the table again sends a request",
        table.DynamoDBReplica.describe,
        "if self._described is None or refresh: ...",
        "if self._described is None: ...",
        (hazards.test_a_whole_stream_is_not_quarantined_for_a_table_that_was_replaced,),
    ),
    Rule(
        4,
        "while the table is not active no record is poison",
        write._check_table,
        "return _not_writable(table) if refresh and not table.is_writable else None",
        "return None",
        (hazards.test_nothing_is_poison_while_the_table_is_not_active,),
    ),
    Rule(
        4,
        "only an item that is refused in a request of its own is poison",
        send.send,
        "rejected, sender.tally.rejected = sender.tally.rejected, []",
        "rejected = []",
        (hazards.test_an_item_that_is_refused_only_together_with_poison_is_not_poison,),
    ),
    Rule(
        4,
        "more than a hundred quarantined records in a row fail the invocation",
        quarantine.Quarantine._admit,
        "len(in_a_row) > MAX_IN_A_ROW",
        "False",
        (
            hazards.test_a_whole_stream_is_not_quarantined_for_a_wrong_index_however_it_is_bisected,
            hazards.test_deletes_do_not_restart_the_count_of_refused_records,
        ),
    ),
    Rule(
        4,
        "the count continues over invocations",
        quarantine.Quarantine.keep,
        "self._in_a_row.update(_identity(record) for record in _in_order(due)[:kept])",
        "self._in_a_row = {_identity(record) for record in _in_order(due)[:kept]}",
        (hazards.test_a_whole_stream_is_not_quarantined_for_a_wrong_index_however_it_is_bisected,),
    ),
    Rule(
        4,
        "a delete does not end the count",
        handler._keep,
        "sum(not each.is_delete for each in outcome.applied)",
        "len(outcome.applied)",
        (hazards.test_deletes_do_not_restart_the_count_of_refused_records,),
    ),
    Rule(
        5,
        "a bucket that is missing or denied fails the invocation",
        quarantine.Quarantine._put_once,
        "if refusal is not None and refusal.kind is RefusalKind.FAULT: ...",
        "if False: ...",
        tuple(
            partial(hazards.test_a_broken_quarantine_bucket_loses_no_record, code)
            for code in ("NoSuchBucket", "AccessDenied", "KMS.DisabledException")
        ),
    ),
    Rule(
        5,
        "every error of KMS is a fault",
        refusal._kind_of,
        "code.startswith(_FAULT_PREFIX)",
        "False",
        (partial(hazards.test_a_broken_quarantine_bucket_loses_no_record, "KMS.DisabledException"),),
    ),
    Rule(
        5,
        "a record that could not be kept is reported",
        quarantine.Quarantine._put_each,
        "if refusal is not None: ...",
        "if False: ...",
        (hazards.test_a_transient_failure_of_the_quarantine_bucket_loses_no_record,),
    ),
    Rule(
        5,
        "QUARANTINE_BUCKET is required",
        Settings.from_env.__func__,  # type: ignore[attr-defined]
        '_required(env, "QUARANTINE_BUCKET", allowed="the name of an S3 bucket")',
        'env.get("QUARANTINE_BUCKET", "")',
        (hazards.test_the_function_requires_a_quarantine_bucket,),
    ),
    Rule(
        5,
        "there are two buckets",
        template.TEMPLATE,
        "Destination: !GetAtt OnFailureBucket.Arn",
        "Destination: !GetAtt QuarantineBucket.Arn",
        (hazards.test_discarded_batches_and_poison_go_to_different_buckets,),
    ),
    Rule(
        6,
        "numbers in keys are compared by value",
        decode._canonical,
        "return name, tag, _canonical_number(content)",
        "return name, tag, content",
        (hazards.test_equal_keys_in_different_forms_are_never_in_one_request,),
    ),
    Rule(
        6,
        "a key's parts are sorted",
        decode.key_of,
        "tuple(sorted(parts))",
        "tuple(parts)",
        (hazards.test_a_key_is_the_same_in_any_order_of_its_parts,),
    ),
    Rule(
        6,
        "binaries are accepted only in canonical base64",
        decode._is_binary,
        "b64encode(b64decode(content)).decode() == content",
        "b64decode(content) is not None",
        (hazards.test_a_binary_key_has_one_canonical_text,),
    ),
    Rule(
        7,
        "an unprocessed write must be one of the request",
        table.unprocessed,
        "if not left <= by_request.keys(): ...",
        "if False: ...",
        (
            partial(
                hazards.test_a_response_without_the_expected_content_is_no_success,
                {"UnprocessedItems": {"copy": [{"PutRequest": {"Item": {"PK": {"S": "another"}}}}]}},
            ),
        ),
    ),
    Rule(
        7,
        "an unprocessed write must have a key",
        table.unprocessed,
        "except (KeyError, MalformedError):\n    return _UNMATCHED",
        "except (KeyError, MalformedError):\n    return ()",
        (
            partial(
                hazards.test_a_response_without_the_expected_content_is_no_success,
                {"UnprocessedItems": {"copy": [{}]}},
            ),
        ),
    ),
    Rule(
        7,
        "a response to BatchWriteItem must list the unprocessed writes",
        table.unprocessed,
        "return _INCOMPLETE",
        "return ()",
        (partial(hazards.test_a_response_without_the_expected_content_is_no_success, {}),),
    ),
    Rule(
        7,
        "a response to PutObject must have an ETag",
        quarantine.Quarantine._stored,
        'return None if "ETag" in response else _INCOMPLETE',
        "return None",
        (hazards.test_a_bucket_s_response_without_an_etag_is_no_success,),
    ),
    Rule(
        8,
        "a request has short timeouts",
        table.client_of,
        'return boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG)',
        'return boto3.client("dynamodb", region_name=region, config=Config())',
        (test_table.test_a_request_has_short_timeouts_and_one_attempt,),
    ),
    Rule(
        8,
        "a request that timed out is in doubt",
        refusal.refusal_of,
        "_may_be_sent(error)",
        "False",
        (hazards.test_a_write_that_times_out_is_in_doubt,),
    ),
    Rule(
        8,
        "a write that AWS may still apply is recorded as in doubt",
        send._Sender._refused,
        "if refusal.in_doubt: ...",
        "if False: ...",
        (
            hazards.test_a_write_without_response_is_kept_as_in_doubt_whatever_its_repetition_did,
            hazards.test_every_in_doubt_write_is_kept_although_the_time_is_up,
        ),
    ),
    Rule(
        18,
        "only a response with AWS's request id ends a request",
        refusal.is_from_aws,
        'any((headers.get(mark) or "").strip() for mark in _MARKS)',
        "bool(_MARKS)",
        tuple(
            partial(hazards.test_a_write_with_a_gateway_s_page_as_response_is_in_doubt, status)
            for status in (403, 504)
        ),
        raising=(*RED, errors.ReplicaError),
    ),
    Rule(
        18,
        "an error is raised only after the in-doubt writes are kept",
        write.write,
        "if not writer.total.in_doubt: ...",
        "if True: ...",
        (hazards.test_in_doubt_writes_are_kept_although_the_invocation_fails,),
    ),
    Rule(
        23,
        "a table that is UPDATING counts as writable",
        write._check_table,
        "return _not_writable(table) if refresh and not table.is_writable else None",
        'return _not_writable(table) if refresh and table.status != "ACTIVE" else None',
        (hazards.test_poison_does_not_block_a_table_to_which_an_index_is_being_added,),
    ),
    Rule(
        8,
        "an in-doubt record is kept even after the reported record",
        quarantine.Quarantine.keep,
        "kept_in_doubt, failure = self._put_each(in_doubt, request_id, deadline)\n"
        "first = checkpoint(filter(None, (before, failure)))",
        "earlier = [each for each in in_doubt if before is None or each.position < before.position]\n"
        "kept_in_doubt, failure = self._put_each(earlier, request_id, deadline)\n"
        "first = checkpoint(filter(None, (before, failure)))",
        (
            hazards.test_a_write_without_response_is_kept_as_in_doubt_whatever_its_repetition_did,
            hazards.test_an_in_doubt_write_after_the_reported_record_is_kept_too,
        ),
    ),
    Rule(
        8,
        "no request starts that may not end in time",
        Deadline.allows,
        "self.remaining() >= seconds",
        "self.remaining() > 0",
        (hazards.test_every_in_doubt_write_is_kept_although_the_time_is_up,),
    ),
    Rule(
        9,
        "every request is waited for, also after an exception",
        send._Sender._round,
        "stack.callback(self._take, request, pending)",
        "pass",
        (partial(hazards.test_no_request_and_no_thread_outlives_the_invocation, is_broken=True),),
    ),
    Rule(
        10,
        "base64 is checked",
        decode._is_binary,
        "isinstance(content, str) and b64encode(b64decode(content)).decode() == content",
        "isinstance(content, str)",
        (partial(hazards.test_an_item_that_cannot_be_sent_is_not_tried_for_ever, {"B": "bad base64"}),),
    ),
    Rule(
        10,
        "a value must contain what its type requires",
        decode._check_value,
        "if not check(content, depth): ...",
        "if False: ...",
        (partial(hazards.test_an_item_that_cannot_be_sent_is_not_tried_for_ever, {"S": 5}),),
    ),
    Rule(
        10,
        "a value must have a known type",
        decode._check_value,
        'raise MalformedError("a value has an unknown type")',
        "return",
        (partial(hazards.test_an_item_that_cannot_be_sent_is_not_tried_for_ever, {"X": "?"}),),
    ),
    Rule(
        10,
        "a record that raises any exception is malformed",
        decode.decode,
        "except Exception as error: ...",
        "except MalformedError as error: ...",
        (hazards.test_a_record_that_cannot_be_decoded_is_not_tried_for_ever,),
        raising=TypeError,
    ),
    Rule(
        10,
        "a full item collection is an error of the item",
        refusal._kind_of,
        "code in _REJECTED",
        'code in _REJECTED - {"ItemCollectionSizeLimitExceededException"}',
        (hazards.test_an_item_collection_that_is_full_is_not_tried_for_ever,),
    ),
    Rule(
        10,
        "an unknown error code is transient",
        refusal._kind_of,
        "RefusalKind.TRANSIENT",
        "RefusalKind.REJECTED",
        (hazards.test_an_unknown_error_is_reported_with_its_code,),
    ),
    Rule(
        11,
        "only a read after the write confirms a key",
        algorithm._Reconciliation._round,
        "now = self._writable(...)",
        "now = {key: states[key] for key in written}",
        (test_algorithm.test_only_a_key_that_changes_meanwhile_is_repeated,),
        given=("written = self._write(states)",),
    ),
    Rule(
        11,
        "a scan that confirms begins after the responses to all writes",
        algorithm._Reconciliation._round,
        "written = self._write(states)\n"
        "now = self._writable(self._read_again({key: states[key] for key in written}, rescan))",
        "now = self._writable(self._read_again(states, rescan))\nwritten = self._write(states)",
        (
            test_algorithm.test_a_page_is_confirmed_by_a_scan_that_begins_after_the_responses_to_all_writes,
            test_algorithm.test_the_scan_confirms_no_key_whose_write_is_in_doubt_or_refused,
        ),
    ),
    Rule(
        11,
        "a key that the scan does not show is read by key",
        algorithm._Reconciliation._read_again,
        "self._read([key for key in states if key not in shown])",
        "{key: states[key] for key in states if key not in shown}",
        (test_algorithm.test_a_key_that_the_scan_does_not_show_is_read_by_key,),
    ),
    Rule(
        11,
        "a key that the scan shows with two images is read by key",
        rescan.unambiguous,
        "{key: image for key, image in images.items() if key not in ambiguous}",
        "images",
        (
            partial(test_algorithm.test_a_key_that_the_scan_shows_with_two_images_is_read_by_key, (1, 2)),
            partial(test_algorithm.test_a_key_that_the_scan_shows_with_two_images_is_read_by_key, (2, 1)),
        ),
    ),
    Rule(
        11,
        "a scan that confirms is strongly consistent",
        scan.TableReader.rescan,
        "self.scan_page(segment, of=of, after=after, consistent=True, limit=limit)",
        "self.scan_page(segment, of=of, after=after, consistent=False, limit=limit)",
        (test_scan.test_a_scan_that_confirms_is_strongly_consistent,),
    ),
    Rule(
        11,
        "keys are open in the journal before they are written",
        algorithm._Reconciliation._intend,
        "free = self._pair.journal.intend(keys)",
        "free = keys",
        (test_algorithm.test_keys_are_opened_before_and_closed_after_everything_else,),
        raising=KeyError,  # nothing is open that could be closed
    ),
    Rule(
        11,
        "a write without a response confirms no key",
        algorithm._Reconciliation._write,
        "each.change.key not in in_doubt",
        "True",
        (
            test_algorithm.test_a_write_without_a_response_is_not_confirmed_although_its_repetition_was_applied,
        ),
    ),
    Rule(
        12,
        "the source has a stream",
        safeguards.refuse_unsafe,
        "if stream is None: ...",
        "if False: ...",
        (test_safeguards.test_a_source_without_a_stream,),
    ),
    Rule(
        12,
        "the mapping is enabled",
        safeguards.refuse_unsafe,
        "if not mapping.is_enabled: ...",
        "if False: ...",
        (partial(test_safeguards.test_a_mapping_that_is_not_enabled, state="Disabled"),),
    ),
    Rule(
        12,
        "an export is no older than the mapping",
        safeguards._refuse_old,
        "if exported_at < needed: ...",
        "if False: ...",
        (
            partial(
                test_safeguards.test_an_export_from_before_the_mapping_saw_every_change,
                "LATEST",
                timedelta(minutes=10),
            ),
        ),
    ),
    Rule(
        12,
        "exports leave no gap between them",
        windows.in_order,
        "if export.since > until: ...",
        "if False: ...",
        (
            partial(test_windows.test_a_gap_between_two_windows_is_refused_with_its_times, ()),
            test_windows.test_a_gap_after_a_full_export_is_refused,
        ),
    ),
    Rule(
        13,
        "inconclusive is not equal",
        verdict.Verified.verdict.fget,  # type: ignore[attr-defined]
        "unrepaired[DifferenceKind.INCONCLUSIVE]",
        "False",
        (test_verify.test_an_inconclusive_result_has_a_hint,),
    ),
    Rule(
        13,
        "the two first looks are a grace period apart",
        confirm.Confirmation._look_twice,
        "self.timer.wait(...)",
        "None",
        (partial(test_confirm.test_the_two_first_looks_are_a_grace_period_apart, None, 5.0),),
    ),
    Rule(
        13,
        "a watch lasts as long as the grace period",
        confirm.Rules.seconds.fget,  # type: ignore[attr-defined]
        "max(self.grace or 0.0, plan.LEAST_SECONDS)",
        "plan.LEAST_SECONDS",
        (
            partial(
                test_confirm.test_a_watch_lasts_as_long_as_the_grace_period_and_at_least_five_seconds,
                50.0,
                50.0,
            ),
        ),
    ),
    Rule(
        13,
        "a confirmed difference that is equal by now is no difference",
        look.Look._difference,
        "sight.source == sight.replica",
        "False",
        (test_look.test_a_confirmed_key_that_is_equal_by_now_is_no_difference,),
    ),
    Rule(
        13,
        "a confirmed difference that has changed since is inconclusive",
        look.Look._difference,
        "(sight.source, sight.replica) == (seen.source, seen.replica)",
        "True",
        (partial(test_look.test_a_confirmed_key_that_has_changed_since_is_inconclusive, "3", "2"),),
    ),
    Rule(
        14,
        "an item that only the archive has is no suspected difference",
        seen.Sight.of.__func__,  # type: ignore[attr-defined]
        "is_archive and after == _ABSENT != replica",
        "False",
        (test_confirm.test_what_only_an_archive_has_is_no_difference,),
    ),
    Rule(
        20,
        "the stream is the witness of changes",
        rounds._next,
        "key in changed",
        "False",
        (test_flipping.test_an_item_that_looks_the_same_eight_times_has_records_in_the_stream,),
    ),
    Rule(
        20,
        "there are eight looks",
        plan.with_stream,
        "max(LEAST_LOOKS, int(looks))",
        "2",
        (test_flipping.test_an_item_that_is_equal_half_of_the_time_is_equal_at_one_of_eight_looks,),
    ),
    Rule(
        20,
        "the looks are at random moments",
        watch._Group._pause,
        "self._timer.random.uniform(0, 2 * self._plan.pause)",
        "self._plan.pause",
        (partial(test_flipping.test_an_item_in_step_with_the_looks_is_not_a_difference, False),),
    ),
    Rule(
        20,
        "without the stream there are more looks",
        plan.looks_alone,
        "1 + math.ceil(...)",
        "LEAST_LOOKS",
        (
            test_flipping.test_without_the_stream_there_are_so_many_looks_that_no_item_looks_the_same_at_all_of_them,
        ),
    ),
    Rule(
        20,
        "an item that changed is watched in further rounds",
        rounds._is_enough,
        "number >= rounds and (seen.followed == 0 or seen.followed >= rounds or number >= 2 * rounds)",
        "True",
        (
            test_flipping.test_an_item_that_kept_changing_is_watched_in_a_round_of_its_own_before_it_is_a_difference,
        ),
    ),
    Rule(
        20,
        "a look reads the source before and after the replica",
        look.Look.__call__,
        "Sight.of(before[key], replica[key], after[key], is_archive=self.is_archive)",
        "Sight.of(before[key], replica[key], before[key], is_archive=self.is_archive)",
        (test_flipping.test_an_item_that_changes_while_it_is_looked_at_is_compared_with_both_states,),
    ),
    Rule(
        20,
        "a key that is equal at any look is late, and no difference",
        watch._Group.look,
        "if not sight.is_suspect: ...",
        "if False: ...",
        (test_flipping.test_an_item_that_is_equal_half_of_the_time_is_equal_at_one_of_eight_looks,),
    ),
    Rule(
        20,
        "a source that has changed since the last look has changed",
        seen.Seen.add,
        "self.source not in (b'', sight.source)",
        "False",
        (
            test_flipping.test_without_the_stream_there_are_so_many_looks_that_no_item_looks_the_same_at_all_of_them,
        ),
    ),
    Rule(
        21,
        "the lag is that of the watch",
        confirm.Confirmation._by_lag,
        "self._figures(began, self.timer.now())",
        "self._figures(began, began)",
        (test_flipping.test_the_lag_counts_that_the_mapping_had_during_the_watch,),
    ),
    Rule(
        21,
        "a mapping with a problem is not idle and has no lag",
        decision._by_lag,
        "if figures.problem is not None: ...",
        "if False: ...",
        (
            partial(
                test_flipping.test_a_lag_that_is_not_known_is_not_a_short_one,
                LagFigures(problem="the mapping is Disabled"),
                "the mapping is Disabled",
            ),
        ),
    ),
    Rule(
        21,
        "an unknown lag is not 0",
        decision._by_lag,
        "if figures.seconds is None: ...",
        "if not figures.seconds:\n    return _DIFFERENT",
        (
            partial(
                test_flipping.test_a_lag_that_is_not_known_is_not_a_short_one,
                LagFigures(unknown="there is no figure"),
                "the lag is unknown: there is no figure",
            ),
        ),
    ),
    Rule(
        21,
        "a watch is twice as long as the lag",
        decision._by_lag,
        "2 * figures.seconds <= watched",
        "figures.seconds <= watched",
        (partial(test_decision.test_row_9_with_a_longer_lag_it_is_watched_on_and_then_inconclusive, 10.0),),
    ),
    Rule(
        14,
        "TTL deletes are skipped before the batch is planned",
        decode.decode,
        "if not replicate_ttl_deletes and _is_ttl_delete(record): ...",
        "if False: ...",
        (hazards.test_an_item_that_expires_in_the_batch_of_its_put_stays_in_an_archive,),
    ),
    Rule(
        14,
        "a delete by a user is not a TTL delete",
        decode._is_ttl_delete,
        "if not isinstance(identity, dict):\n    return False",
        "if not isinstance(identity, dict):\n    return True",
        (hazards.test_an_item_that_expires_in_the_batch_of_its_put_stays_in_an_archive,),
    ),
    Rule(
        14,
        "in an archive a missing item is not deleted",
        algorithm._Reconciliation._writable,
        "state is None and self._pair.is_archive",
        "False",
        (
            test_algorithm.test_nothing_is_ever_deleted_from_an_archive,
            test_algorithm.test_an_item_that_disappears_after_its_write_to_an_archive_is_undecided,
        ),
    ),
    Rule(
        14,
        "an archive is reconciled as an archive",
        reconciler.Reconciler.between.__func__,  # type: ignore[attr-defined]
        "ReconcileContext(..., is_archive=is_archive)",
        "ReconcileContext(..., is_archive=False)",
        (test_archive.test_no_command_deletes_from_an_archive,),
    ),
    Rule(
        14,
        "the mapping's function decides whether the replica is an archive",
        preflight.Preflight.on.__func__,  # type: ignore[attr-defined]
        "archive or not mapping.replicates_ttl_deletes",
        "archive",
        (
            test_archive.test_no_command_deletes_from_an_archive,
            test_archive.test_an_item_that_only_an_archive_has_is_not_a_difference,
        ),
    ),
    Rule(
        14,
        "also with --without-mapping a mapping that can be read decides it",
        preflight.despite,
        "archive or (mapping is not None and not mapping.replicates_ttl_deletes)",
        "archive",
        (test_archive.test_no_command_deletes_from_an_archive,),
    ),
    Rule(
        14,
        "an item that only the archive has is not a suspected difference",
        merge.Segment._to_look_up,
        "self._shared.archive(list(passed[REPLICA]), self.counts)",
        "self._shared.suspect(list(passed[REPLICA]))",
        (test_archive.test_many_expired_items_do_not_end_the_comparison,),
    ),
    Rule(
        14,
        "an item that only the archive has by now is not a difference",
        seen.Sight.of.__func__,  # type: ignore[attr-defined]
        "is_archive and after == _ABSENT != replica",
        "False",
        (test_archive.test_an_item_that_expires_before_it_is_looked_at_is_archived,),
    ),
    Rule(
        14,
        "only confirmed differences are repaired",
        repair._to_repair,
        "each.finding in CERTAIN or (certain and each.reason == NOT_WATCHED)",
        "True",
        (test_repair.test_only_confirmed_differences_are_repaired,),
    ),
    Rule(
        4,
        "a scheduled redrive describes the table before a refused key is poison",
        scheduled_run._Run.keep,
        "if refused: self._refuse_unwritable()",
        "if False: self._refuse_unwritable()",
        (test_scheduled.test_a_replica_that_is_being_deleted_makes_no_poison,),
    ),
    Rule(
        19,
        "a scheduled redrive quarantines what a killed one has left open",
        scheduled_run._Run.all,
        "given_over = self._journal.hand_over(...)",
        "given_over = 0",
        (
            partial(
                test_run_bound.test_keys_of_a_killed_redrive_are_reconciled_within_thirty_minutes_of_its_deadline,
                150.0,
                0.0,
            ),
        ),
    ),
    Rule(
        14,
        "the object of an undecided key is kept",
        objects._reconciled,
        "confirmed.update(reconciled.confirmed)",
        "confirmed.update(reconciled.confirmed + reconciled.undecided)",
        (test_archive.test_an_item_that_is_gone_is_undecided_and_its_object_stays,),
    ),
    Rule(
        14,
        "an undecided key is listed before it is closed",
        pages.Backfill._hand_over,
        "self._undecided(undecided)",
        "pass",
        (test_pages.test_undecided_keys_are_listed_for_review_and_closed,),
    ),
    Rule(
        15,
        "a filter may use only keys",
        key_filter._member,
        "if path[:2] != _KEYS[: len(path)] or (len(path) == 4 and path[3] not in _KEY_TYPES): ...",
        "if False: ...",
        (
            partial(
                test_key_filter.test_a_filter_on_anything_but_keys_is_refused,
                pattern={"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}},
                why="it looks at dynamodb.NewImage",
            ),
        ),
    ),
    Rule(
        15,
        "a backfill skips keys that the filter excludes",
        pages.Within.pages,
        "self._key_filter.passes(key)",
        "True",
        (test_filtered_commands.test_a_backfill_omits_excluded_items,),
    ),
    Rule(
        15,
        "a repair skips keys that the filter excludes",
        comparison.Comparison.inside,
        "self.key_filter.passes(key)",
        "True",
        (test_filtered_commands.test_a_repair_does_not_change_excluded_items,),
    ),
    Rule(
        15,
        "redrive skips keys that the filter excludes",
        object_format.with_filter,
        "keys = tuple(key for key in unpacked.keys if key_filter.passes(key))",
        "keys = tuple(unpacked.keys)",
        (test_filtered_commands.test_an_object_whose_key_is_excluded_now_stays_and_is_listed,),
    ),
    Rule(
        17,
        "the replica is not the source",
        schema.check,
        "if source_arn(change.record) == table.arn: ...",
        "if False: ...",
        (hazards.test_the_replica_is_never_its_own_source,),
    ),
    Rule(
        19,
        "keys are in the state file before they are written",
        journal.FileJournal.intend,
        'self._append(*self._ahead(), {"open": as_json(free)}, durably=True)',
        "pass",
        (test_journal.test_keys_that_a_killed_run_may_have_written_are_held_back_by_the_next_run,),
    ),
    Rule(
        19,
        "open keys are held back unless the run ended in order",
        journal_format.Contents.find,
        "if self._is_at_rest: ...",
        "if True: ...",
        (test_journal.test_keys_that_a_killed_run_may_have_written_are_held_back_by_the_next_run,),
    ),
    Rule(
        19,
        "only a run that ended in order needs no hold",
        unwrap(requests_under_way.UnderWay.call),
        "except (TaskError, ReplicatorError): ...",
        "except BaseException: ...",
        (test_reconciler.test_a_call_with_another_exception_may_have_a_request_under_way,),
    ),
    Rule(
        22,
        "a record of an earlier table is left",
        earlier_table.is_earlier,
        "since < created_at - TOLERANCE",
        "False",
        (
            test_object_format.test_a_record_of_an_earlier_table_is_not_reconciled,
            test_object_format.test_a_command_s_record_is_as_old_as_its_object,
        ),
    ),
    Rule(
        24,
        "an archive of a global table causes a warning",
        preflight.Preflight.warn_of_replicas,
        "if self.is_archive and source.replicas: ...",
        "if False: ...",
        (test_preflight.test_an_archive_of_a_global_table_is_warned_of,),
    ),
    Rule(
        25,
        "no failure of telemetry fails a batch",
        unwrap(telemetry._never_raising),
        "with suppress(Exception): ...",
        "raise\nwith suppress(Exception): ...",
        (hazards.test_an_applied_batch_is_reported_although_nothing_can_be_logged,),
        raising=TypeError,
    ),
    Rule(
        25,
        "the variables of Powertools are checked",
        settings._switch,
        "if value is not None and value.lower() not in _ON | _OFF: ...",
        "if False: ...",
        (hazards.test_a_variable_that_telemetry_cannot_use_is_refused_before_any_write,),
    ),
    Rule(
        25,
        "the log level is fixed",
        template.TEMPLATE,
        "ApplicationLogLevel: INFO\n        SystemLogLevel: INFO\n        LogGroup: !Ref ReplicatorLogGroup",
        "ApplicationLogLevel: WARN\n        SystemLogLevel: INFO\n        LogGroup: !Ref ReplicatorLogGroup",
        (hazards.test_the_functions_log_level_does_not_drop_its_metrics,),
    ),
    Rule(
        26,
        "a record that cannot be transformed is poison",
        batch.transformed,
        "poison.append(_poison(change, str(error)))",
        "changes.append(change)",
        (hazards.test_what_cannot_be_transformed_is_not_written_as_it_is,),
        given=(
            "changes.append(change if change.image is None else _with_image(change, apply(change.image)))",
        ),
    ),
    Rule(
        26,
        "every change of a batch is transformed before one is planned",
        handler.replicate,
        "decoded = to.transform(decoded)",
        "pass",
        (hazards.test_the_image_that_is_written_in_place_of_poison_is_transformed_too,),
    ),
    Rule(
        26,
        "a computed attribute is made of hashed values",
        transform.Transform.apply,
        "made = self._concatenated(moved)",
        "made = self._concatenated(item)",
        (hazards.test_a_hashed_value_is_in_no_computed_attribute,),
        given=("{**item}",),
    ),
)


def name_of(test: Any) -> str:
    name: str = (test.func if isinstance(test, partial) else test).__name__
    return name


@pytest.mark.parametrize(
    ("rule", "test"),
    [
        pytest.param(rule, test, id=f"{rule.hazard}-{rule.name}-{name_of(test)}")
        for rule in RULES
        for test in rule.noticed_by
    ],
)
def test_a_hazard_s_test_fails_when_its_rule_is_removed(
    rule: Rule, test: Test, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_parameters = [
        name for name, each in signature(test).parameters.items() if each.default is Parameter.empty
    ]
    fixtures = {name: request.getfixturevalue(name) for name in open_parameters}
    if isinstance(rule.where, Path):
        (tmp_path / rule.where.name).write_text(without(rule, rule.where.read_text()))
        monkeypatch.setattr(template, "TEMPLATE", tmp_path / rule.where.name)
        monkeypatch.setattr(template, "_as_json", template._as_json.__wrapped__)
    else:
        code = Source.of(rule.where).without(rule.line, rule.without, given=rule.given).code()
        monkeypatch.setattr(rule.where, "__code__", code)

    with pytest.raises(rule.raising):
        test(**fixtures)


def without(rule: Rule, text: str) -> str:
    assert text.count(rule.line) == 1, f"the rule is not found exactly once: {rule.name}"
    assert rule.line != rule.without
    return text.replace(rule.line, rule.without)


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=rule.name) for rule in RULES if not isinstance(rule.where, Path)]
)
def test_a_rule_is_found_whatever_the_names_of_variables_are(rule: Rule) -> None:
    source = Source.of(rule.where)

    for each in (source, source.renamed()):
        changed = each.without(rule.line, rule.without, given=rule.given)
        assert ast.dump(changed.tree) != ast.dump(each.tree)
        changed.code()


def test_every_hazard_has_tests_and_each_test_fails_for_a_rule() -> None:
    marked = {
        (mark.kwargs["number"], name_of(test))
        for module in HAZARD_TESTS
        for test in vars(module).values()
        for mark in getattr(test, "pytestmark", ())
        if mark.name == "hazard"
    }

    assert marked == {(rule.hazard, name_of(test)) for rule in RULES for test in rule.noticed_by}
    assert {number for number, _ in marked} == hazards.HAZARDS.keys()


def test_no_other_module_contains_tests_of_hazards() -> None:
    marked = re.compile(r"^ *@pytest\.mark\.hazard\(", re.MULTILINE)
    tests = Path(__file__).parents[1].rglob("test_*.py")

    assert {str(path) for path in tests if marked.search(path.read_text())} == {
        module.__file__ for module in HAZARD_TESTS
    }
