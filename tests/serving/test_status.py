from collections.abc import Iterator

import pytest
from cuvee import errors
from cuvee.serving.status import CODES, problem_of, status_of
from cuvee.v1 import recommendation_pb2 as pb
from google.rpc import error_details_pb2

EXAMPLES = {
    errors.InvalidArgument: errors.InvalidArgument("page_size", "is -1"),
    errors.NotFound: errors.NotFound("product", "shoes", ["movies"]),
    errors.ConfigError: errors.ConfigError([errors.Mistake("cuvee.toml", "data", "is wrong")]),
    errors.SourceFailure: errors.SourceFailure(errors.DegradedReason.ERROR, "a detail"),
}


def tree(kind: type[errors.CuveeError]) -> Iterator[type[errors.CuveeError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith("cuvee."):
            yield from tree(child)


def example(kind: type[errors.CuveeError]) -> errors.CuveeError:
    return EXAMPLES.get(kind) or kind("it is so")


def detail(status, kind):
    found = [kind.FromString(d.value) for d in status.details if d.Is(kind.DESCRIPTOR)]
    return found[0] if found else None


@pytest.mark.parametrize("kind", list(tree(errors.CuveeError)))
def test_the_table_is_total_and_says_what_the_proto_says(kind):
    code, reason = CODES[kind]
    number = pb.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert code != 0
    # a class's own reason is the one that goes out, unless it may not go out at all
    assert kind.reason in {reason, "INTERNAL", "SOURCE_FAILED"}
    status = status_of(example(kind), "abc")
    info = detail(status, error_details_pb2.ErrorInfo)
    assert (status.code, info.reason, info.domain) == (code, reason, "cuvee")
    assert problem_of(example(kind)).reason == reason
    assert number > 0


def test_a_child_that_a_plugin_makes_is_what_its_parent_is():
    class TooManyShoes(errors.InvalidArgument):
        pass

    status = status_of(TooManyShoes("shoes", "are too many"))
    assert status.code == 3
    assert detail(status, error_details_pb2.BadRequest).field_violations[0].field == "shoes"


def test_details_name_the_field_the_resource_and_when_to_retry():
    invalid = status_of(EXAMPLES[errors.InvalidArgument])
    violation = detail(invalid, error_details_pb2.BadRequest).field_violations[0]
    assert (violation.field, violation.description) == ("page_size", "is -1")
    assert dict(detail(invalid, error_details_pb2.ErrorInfo).metadata) == {"field": "page_size"}
    missing = status_of(EXAMPLES[errors.NotFound])
    assert dict(detail(missing, error_details_pb2.ErrorInfo).metadata) == {"resource": "product", "name": "shoes"}
    later = status_of(errors.NotReady("soon"))
    assert detail(later, error_details_pb2.RetryInfo).retry_delay.seconds > 0
    assert detail(invalid, error_details_pb2.RetryInfo) is None


@pytest.mark.parametrize(
    "problem", [RuntimeError("password=hunter2"), KeyError("hunter2"), errors.SourceFailure("ERROR", "hunter2")]
)
def test_nothing_of_an_unforeseen_error_is_told_but_the_incident(problem):
    status = status_of(problem, "incident-7")
    assert status.code == 13
    assert "hunter2" not in str(status)
    assert "incident-7" in status.message


def test_a_status_fits_into_headers_whatever_it_is_about():
    for text in ("x" * 10_000, "é" * 10_000, "漢" * 10_000):
        status = status_of(errors.InvalidArgument("filter", text))
        assert len(status.message.encode()) <= 900
        assert status.ByteSize() < 2500
