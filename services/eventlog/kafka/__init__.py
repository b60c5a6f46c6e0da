"""The log on Apache Kafka; the only package that knows aiokafka. `log` says how the contract is kept, start there."""

from services.eventlog.kafka.log import KafkaLog
from services.eventlog.kafka.wire import KafkaSecurity

__all__ = ["KafkaLog", "KafkaSecurity"]
