"""`tocsin asyncapi`: the AsyncAPI document of all topics."""

from __future__ import annotations

from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line


def asyncapi(config: ConfigFile = None, json_: Json = False) -> None:
    """Print the AsyncAPI 3 document of all topics: keys, values, headers, partitions, retention.

        It is made from the types that the code reads and writes, with the brokers, prefix and partitions of the
    configuration. Operations are Tocsin's: what it receives you send. YAML, or with --json JSON.

    \b
    Example:
      tocsin asyncapi > asyncapi.yaml
    """
    import yaml  # noqa: PLC0415 - start-up time

    from streams.asyncapi import asyncapi as document  # noqa: PLC0415 - start-up time
    from streams.traces import program  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    found = document(configuration.kafka, configuration.topics, program())
    if json_:
        print_json(found)
    else:
        print_line(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=110).rstrip())
