from cuvee.serving.scheduling.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(clock=clock), clock


def fail(one: Breaker, times: int = 5) -> None:
    for _ in range(times):
        given = one.admit()
        assert given is not None
        one.failed(given)


def test_it_opens_after_five_failures_in_a_row():
    one, _ = breaker()
    fail(one, 4)
    assert one.closed
    fail(one, 1)
    assert not one.closed
    assert one.admit() is None


def test_a_success_in_between_starts_the_count_anew():
    one, _ = breaker()
    fail(one, 4)
    one.succeeded(one.admit())
    fail(one, 4)
    assert one.closed


def test_after_a_pause_one_call_probes_and_a_success_closes_it():
    one, clock = breaker()
    fail(one)
    clock.now += 1.0
    probe = one.admit()
    assert probe is not None
    assert probe.probe
    assert one.admit() is None, "one probe at a time"
    one.succeeded(probe)
    assert one.closed
    fail(one, 4)
    assert one.closed, "the count begins anew"


def test_the_pause_doubles_to_four_seconds():
    one, clock = breaker()
    fail(one)
    pauses = [1.0, 2.0, 4.0, 4.0, 4.0]
    for pause in pauses:
        clock.now += pause - 0.01
        assert one.admit() is None
        clock.now += 0.02
        one.failed(one.admit())


def test_a_probe_that_was_given_up_lets_the_next_one_try():
    one, clock = breaker()
    fail(one)
    clock.now += 1.0
    one.undecided(one.admit())
    assert one.admit() is not None


def test_late_news_of_calls_from_before_change_nothing():
    one, _ = breaker()
    old = [one.admit() for _ in range(3)]
    fail(one)
    one.succeeded(old[0])
    one.failed(old[1])
    assert not one.closed
