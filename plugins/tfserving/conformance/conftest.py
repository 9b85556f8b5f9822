"""The suite's one option."""


def pytest_addoption(parser):
    """``--address``."""
    parser.addoption("--address", help="host:port of the model server to check (gRPC)")
