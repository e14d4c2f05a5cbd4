"""A real one-machine deployment of stand-in services, as a process that tests may signal and kill.

`python -m tests.fakes.stand_in_deployment PORT PIPELINE`, where PIPELINE is the behaviour of `stand_in_service`.
"""

import asyncio
import os
import sys
from collections.abc import Mapping

from deploy.child import ChildSpec
from deploy.console import Console
from deploy.embedded_broker import Broker
from deploy.one_machine import OneMachine, Plan, service_specs
from deploy.process_command import module_command


def main() -> int:
    port, pipeline = sys.argv[1:]

    def stand_ins(plan: Plan, environment: Mapping[str, str], broker: Broker) -> list[ChildSpec]:
        return [
            ChildSpec(
                spec.name,
                [*module_command("tests.fakes.stand_in_service"), kind, pipeline if kind == "pipeline" else "serves"],
                spec.environment,
            )
            for spec in service_specs(plan, environment, broker)
            for kind in [spec.name.split("-")[0]]
        ]

    plan = Plan("127.0.0.1", int(port), media_workers=2, pipeline_workers=1)
    return asyncio.run(OneMachine(plan, os.environ, Console(), stand_ins).run())


if __name__ == "__main__":
    sys.exit(main())
