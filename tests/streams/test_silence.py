"""Sources that stop sending are noticed as time passes."""

from __future__ import annotations

import json

from streams.processor import Record
from tocsin.config import Configuration
from tocsin.wiring import make_processor


def test_a_source_that_sent_only_before_the_first_tick_is_noticed():
    processor = make_processor(Configuration())("telemetry", 0, {})
    events = ({"source": "pump-7", "timestamp": 10 * i, "values": {"flow": i % 7}} for i in range(100))
    processor.process(
        [Record("telemetry", 0, i, 990.0, b"pump-7", json.dumps(e).encode()) for i, e in enumerate(events)]
    )
    alerts = [json.loads(output.value) for output in processor.tick(9_999.0).outputs]
    assert [alert["kind"] for alert in alerts] == ["silence"]
