"""The gauges say which endpoint fails and which brand burns, and fall silent when it is over."""

from __future__ import annotations

from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House
from tests.unit.alerter import make


async def test_the_gauges_name_the_endpoint_that_fails_and_the_brand_that_burns(house: House) -> None:
    def value(name: str, **labels: str) -> float | None:
        return house.registry.get_sample_value(name, labels)

    house.receiver.answers["/desk"] = receiver.status(500)
    await house.signal(make.forecast())
    await house.settle()
    await house.alerter.gauges.turn()
    (incident,) = await house.incidents()
    brand, severity = incident["brand"], str(incident["severity"])
    assert value("firebreak_endpoint_failing_deliveries", endpoint="desk") == 1
    assert value("firebreak_brand_incidents", brand=brand, severity=severity) == 1
    assert (value("firebreak_outbox_oldest_seconds") or 0) > 0
    assert value("firebreak_endpoint_tripped", endpoint="desk") is None
    await house.pass_time(300, step=5)
    await house.alerter.gauges.turn()
    assert value("firebreak_endpoint_tripped", endpoint="desk") == 1
    house.receiver.answers.pop("/desk")
    await house.pass_time(90, step=1)
    await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "mia"})
    await house.settle()
    await house.alerter.gauges.turn()
    assert value("firebreak_endpoint_failing_deliveries", endpoint="desk") is None
    assert value("firebreak_endpoint_tripped", endpoint="desk") is None
    assert value("firebreak_brand_incidents", brand=brand, severity=severity) is None
    assert value("firebreak_outbox_oldest_seconds") == 0
