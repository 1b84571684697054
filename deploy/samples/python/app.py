"""Reads the energy meter once and lets it be known: what ../meter does, in Python."""

from functools import wraps

from componentize_py_types import Err
from wit_world import Unit
from wit_world.imports import device_read, events
from wit_world.imports.types import Fault, Value_Integer, Value_Number


def operation(function):
    """Makes a fault of an exception that nobody caught, which would otherwise end as a trap without a word."""

    @wraps(function)
    def guarded(*args):
        try:
            return function(*args)
        except Err:
            raise
        except Exception as exception:
            raise Err(Fault("exception", repr(exception))) from exception

    return guarded


class WitWorld:
    @operation
    def read_energy(self, unit: Unit) -> float:
        kwh = read_number("meter", "energy")
        events.emit("energy", [("kwh", Value_Number(kwh))])
        return kwh * 1000 if unit is Unit.WH else kwh


def read_number(device: str, point: str) -> float:
    match device_read.read(device, point):
        case Value_Number(number) | Value_Integer(number):
            return float(number)
        case other:
            raise Err(Fault("implausible", f"{device} says {other} for {point}"))
