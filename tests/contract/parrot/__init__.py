"""Parrot: an invented provider, laid out as every connector is, on which the contract suites are tried."""

from tests.contract.parrot.connector import ParrotConnector
from tests.contract.parrot.simulator import ParrotSimulator

__all__ = ["ParrotConnector", "ParrotSimulator"]
