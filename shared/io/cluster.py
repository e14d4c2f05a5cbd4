"""A client of Redis Cluster that fails as fast as the others: redis-py's, where its ways do not fit real time.

redis-py's pipeline fails as a whole when one node is away, never looks for the promoted replica, and starts a thread
and an event loop for each command of a transaction. When it follows ASK, others get between ASKING and the command.
For XREAD and BLMPOP it first asks the server where the key is.
"""

import asyncio
from collections import defaultdict
from typing import Any

from redis.asyncio.cluster import ClusterNode, ClusterPipeline, PipelineCommand, RedisCluster
from redis.asyncio.connection import Connection
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from shared.io.connections import BROKER_FAILURES, CONNECTION_FAILURES

_REDIRECTED = (AskError, TryAgainError)  # MovedError is an AskError
_NODE_FAILURES = (*CONNECTION_FAILURES, ClusterDownError)
_AT_ONCE = 4
_PAUSE_S = 0.02
_MOST_REDIRECTIONS = 50
"""The first few are followed at once, the others within a second, in which all keys of a slot should have moved."""

# ARGV: for each command the number of its words, then its words. A script is as atomic as MULTI, and may be redirected
# to another node as a whole.
_TRANSACTION = """
local replies, at = {}, 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return replies
"""


class Cluster(RedisCluster):
    """Commands for one key, or for keys with one hash tag. Pipelines without transaction may span nodes."""

    def __init__(self, connection_class: type[Connection], **options: Any) -> None:
        super().__init__(**options)
        # redis-py has no argument for it.
        self.connection_kwargs["connection_class"] = connection_class
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = connection_class

        self._suspect: str | None = None

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> "Pipeline":
        return Pipeline(self, bool(transaction))

    async def node_of(self, command: tuple[Any, ...]) -> ClusterNode:
        """The node that holds the command's keys. Raises one of `BROKER_FAILURES` if no node does."""
        await self.initialize()
        return self.nodes_manager.get_node_from_slot(await self._determine_slot(*command))

    async def look_again_without(self, node: ClusterNode) -> None:
        """The node does not answer: another may have its slots by the next command."""
        node.update_active_connections_for_reconnect()
        await node.disconnect_free_connections()
        self._suspect = node.name
        self._initialize = True

    async def initialize(self, additional: Any = None, last_failed_node_name: str | None = None) -> "Cluster":
        suspect, self._suspect = last_failed_node_name or self._suspect, None
        await super().initialize(additional, suspect)
        return self

    async def aclose(self) -> None:
        self._initialize = False  # the flag also means "look for the nodes again", and redis-py then skips closing
        await super().aclose()

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        """Sends one command to a node and follows redirections, as the cluster specification describes."""
        node, asking = target_node, False
        for redirections in range(_MOST_REDIRECTIONS):
            if redirections > _AT_ONCE:
                await asyncio.sleep(_PAUSE_S)
            command = PipelineCommand(0, *args, **kwargs)
            batch = [PipelineCommand(0, "ASKING"), command] if asking else [command]
            try:
                await node.execute_pipeline(batch)
            except CONNECTION_FAILURES as error:
                command.result = error
            asking = False
            match command.result:
                case MovedError() as moved:
                    await self.nodes_manager.move_slot(moved)
                    node = self.nodes_manager.get_node_from_slot(moved.slot_id)
                case AskError() as ask:
                    node, asking = await self._known(ask.host, ask.port), True
                case TryAgainError():
                    pass
                case Exception() as failure:
                    if isinstance(failure, _NODE_FAILURES):
                        await self.look_again_without(node)
                    raise failure
                case reply:
                    return reply
        raise ClusterDownError(f"redirected {_MOST_REDIRECTIONS} times")

    async def _known(self, host: str, port: int) -> ClusterNode:
        if self.get_node(host, port) is None:
            self._initialize = True  # it has joined the cluster since we looked
            await self.initialize()
        node = self.get_node(host, port)
        if node is None:
            raise ClusterDownError(f"redirected to {host}:{port}, which is not in the cluster")
        return node

    async def _determine_slot(self, command: str, *args: Any) -> int:
        match command:
            case "XREAD":
                streams = next(index for index, word in enumerate(args) if word in ("STREAMS", b"STREAMS"))
                return self.keyslot(args[streams + 1])
            case "BLMPOP":
                return self.keyslot(args[2])
        return await super()._determine_slot(command, *args)


class Pipeline(ClusterPipeline):
    """Commands that are sent together, to each node its own, or as one transaction if their keys have one hash tag."""

    def __init__(self, cluster: Cluster, transaction: bool) -> None:
        self.cluster_client: Cluster = cluster
        self._transaction = transaction
        self._event_dispatcher = cluster._event_dispatcher
        self._commands: list[PipelineCommand] = []

    def __len__(self) -> int:
        return len(self._commands)

    def execute_command(self, *args: Any, **kwargs: Any) -> "Pipeline":
        self._commands.append(PipelineCommand(len(self._commands), *args, **kwargs))
        return self

    async def reset(self) -> None:  # type: ignore[override] # redis-py's own has this type, too
        self._commands = []

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        """The replies, in order. Without `raise_on_error`, failures are among them.

        The replies of a transaction are those that a script returns.
        """
        commands, self._commands = self._commands, []
        if not commands:
            return []
        if self._transaction:
            return await self._transact(commands)
        batches: dict[ClusterNode, list[PipelineCommand]] = defaultdict(list)
        for command in commands:
            batches[await self.cluster_client.node_of(command.args)].append(command)
        await asyncio.gather(*(self._send(node, batch) for node, batch in batches.items()))
        replies = [command.result for command in commands]
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    async def _send(self, node: ClusterNode, commands: list[PipelineCommand]) -> None:
        """Fills in the results. A node that is away must not fail the commands of others."""
        try:
            await node.execute_pipeline(commands)
        except CONNECTION_FAILURES as error:
            for command in commands:
                command.result = error
        if any(isinstance(command.result, _NODE_FAILURES) for command in commands):
            await self.cluster_client.look_again_without(node)
        for command in commands:
            if isinstance(command.result, _REDIRECTED):
                try:
                    command.result = await self.cluster_client.execute_command(*command.args, **command.kwargs)
                except BROKER_FAILURES as error:
                    command.result = error

    async def _transact(self, commands: list[PipelineCommand]) -> list[Any]:
        keys = {command.args[1] for command in commands}  # of the commands that we use, it is the first argument
        words = [word for command in commands for word in (len(command.args), *command.args)]
        return list(await self.cluster_client.execute_command("EVAL", _TRANSACTION, len(keys), *keys, *words))
