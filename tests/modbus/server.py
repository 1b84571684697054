"""The devices of deploy/samples/equipment/modbus.toml behind one Modbus TCP server, for tests.

    python3 server.py PORT

Prints `ready`, then a line for each write: its function, address and values. A line on standard input says how the
devices behave from then on: `well`, `slow` (the room is read two seconds late), `beyond` (the room is too hot),
`refuse` (the setpoint is not taken).
"""

import asyncio
import sys

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

READ_INPUT, WRITE_REGISTER = 4, 6
WRITES = (5, WRITE_REGISTER, 15, 16)

behaviour = "well"


async def aircon(function, start, address, count, registers, values):
    if function == READ_INPUT and behaviour == "slow":
        await asyncio.sleep(2)
    if function == READ_INPUT:
        registers[address - start] = 3000 if behaviour == "beyond" else 225
    if function == WRITE_REGISTER and address == 0 and behaviour == "refuse":
        return ExcCodes.DEVICE_FAILURE
    if function in WRITES and values is not None:
        print("write", function, address, list(values), flush=True)
    return None


def registers(address, values):
    return [SimData(address, values=values, datatype=DataType.REGISTERS)]


async def main():
    global behaviour
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    room = SimDevice(1, simdata=(bits, bits, registers(0, [240, 0]), registers(0, [225])), action=aircon)
    meter = SimDevice(2, simdata=(bits, bits, registers(0, [0]), registers(10, [0, 10423])))
    server = ModbusTcpServer([room, meter], address=("127.0.0.1", int(sys.argv[1])))
    await server.serve_forever(background=True)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        behaviour = line.decode().strip()
    await server.shutdown()


asyncio.run(main())
